import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { describe, expect, it, onTestFinished } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { ModelIds, modelIdRows } from '../../src/engines/model-ids.ts'
import { modelShards } from '../../src/engines/model-shards.ts'
import { cidModelId } from '../../src/wire/model-id.ts'

const never = new AbortController().signal

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-ids-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function open() {
  const kept = new Map<string, string>()
  const store = {
    get: async (key: string) => kept.get(key),
    put: async (key: string, id: string) => {
      kept.set(key, id)
    },
  }
  return { kept, ids: new ModelIds({ store, logger: silentLogger }) }
}

/** The SHA-256 that an id holds. */
const digestIn = (id: string | undefined) => {
  const cid = CID.parse(id?.replace(/^cid:/, '') ?? '')
  expect(cid.code).toBe(0x55)
  return Buffer.from(cid.multihash.digest).toString('hex')
}
const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

describe('the id of a model', () => {
  it('is the CID of its whole file, remembered until the file changes', async () => {
    const path = join(folder(), 'm.gguf')
    const bytes = Buffer.alloc(600_000, 'GGUF')
    writeFileSync(path, bytes)
    const { ids, kept } = open()
    expect(await ids.recall(path)).toBeUndefined()
    const id = await ids.find(path, never)
    expect(id).toMatch(/^cid:bafkrei[a-z2-7]{52}$/)
    expect(digestIn(id)).toBe(sha256(bytes))
    expect(await ids.recall(path)).toBe(id)
    expect(kept.size).toBe(1)
    utimesSync(path, 1, 1)
    expect(await ids.recall(path)).toBeUndefined()
    expect(await ids.find(path, never)).toBe(id)
  })

  it('of a split file covers all its parts, in order', async () => {
    const stem = join(folder(), 'big')
    const parts = ['one', 'two', 'three'].map((text) => Buffer.from(text))
    for (const [at, part] of parts.entries()) {
      writeFileSync(`${stem}-0000${at + 1}-of-00003.gguf`, part)
    }
    const { ids } = open()
    const first = `${stem}-00001-of-00003.gguf`
    const id = await ids.find(first, never)
    expect(digestIn(id)).toBe(sha256(...parts))
    expect(await ids.recall(first)).toBe(id)
    writeFileSync(`${stem}-00003-of-00003.gguf`, 'other')
    expect(await ids.recall(first)).toBeUndefined()
  })

  it('is none when the file cannot be read, or the peer stops meanwhile', async () => {
    const path = join(folder(), 'm.gguf')
    const { ids, kept } = open()
    expect(await ids.find(path, never)).toBeUndefined()
    expect(await ids.recall(path)).toBeUndefined()
    mkdirSync(path)
    expect(await ids.find(path, never)).toBeUndefined()
    rmSync(path, { recursive: true })
    writeFileSync(path, 'GGUF')
    expect(await ids.find(path, AbortSignal.abort())).toBeUndefined()
    expect(kept.size).toBe(0)
  })

  it('is found though it cannot be kept, and none where another file comes in between', async () => {
    const path = join(folder(), 'm.gguf')
    writeFileSync(path, 'GGUF')
    const put = async () => {
      throw new Error('the disk is full')
    }
    const full = new ModelIds({
      store: { get: async () => undefined, put },
      logger: silentLogger,
    })
    expect(digestIn(await full.find(path, never))).toBe(sha256(Buffer.from('GGUF')))
    const { ids } = open()
    const found = ids.find(path, replacedMeanwhile(path))
    expect(await found).toBeUndefined()
  })

  it('is not read from a row that is none', () => {
    const { encode, decode } = modelIdRows.value
    const id = cidModelId(new Uint8Array(32))
    expect(decode(encode(id))).toBe(id)
    expect(() => decode(encode('cid:bafkrei'))).toThrow()
    expect(() => decode(Buffer.from('7'))).toThrow()
  })
})

/** A signal that is asked before each read, and replaces the file when it is. */
function replacedMeanwhile(path: string): AbortSignal {
  const { signal } = new AbortController()
  let asked = 0
  Object.defineProperty(signal, 'aborted', {
    get: () => {
      if (asked++ === 1) writeFileSync(path, 'GGUF, and more of it')
      return false
    },
  })
  return signal
}

it.each([
  ['m.gguf', ['m.gguf']],
  ['m-00001-of-00002.gguf', ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf']],
  ['m-00001-of-00001.GGUF', ['m-00001-of-00001.GGUF']],
  // Only the first part can be loaded; this one will fail and needs no id.
  ['m-00002-of-00002.gguf', ['m-00002-of-00002.gguf']],
  ['m-00001-of-00000.gguf', ['m-00001-of-00000.gguf']],
  ['m-00001-of-99999.gguf', ['m-00001-of-99999.gguf']],
])('the files of %s', (path, files) => {
  expect(modelShards(path)).toEqual(files)
})
