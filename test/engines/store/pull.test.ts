import { readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../../src/base/errors.ts'
import { cidModelId } from '../../../src/wire/model-id.ts'
import { type Fault, fakeHub, ggufLike, sha256 } from './fake-hub.ts'
import { pullStage, temporaryFolder } from './pulling.ts'

const bytes = ggufLike(200_000)
const repo = {
  id: 'org/Model-GGUF',
  files: [
    { path: 'Model-Q4_K_M.gguf', bytes },
    { path: 'Model-Q8_0.gguf', bytes: ggufLike(1000) },
    { path: 'README.md', bytes: Buffer.from('# Model') },
  ],
}
const uri = 'hf:org/Model-GGUF:Q4_K_M'
const startOf = (range = 'bytes=0-'): number => Number(/\d+/.exec(range)?.[0])

describe('a pull from the hub', () => {
  it('brings the file of that quant, and knows afterwards what it is', async () => {
    const hub = await fakeHub({ ...repo, licence: 'apache-2.0' })
    const { pull, left, folder, events } = pullStage(hub)
    const { model, wasThere } = await pull(uri)
    expect(wasThere).toBe(false)
    expect(readFileSync(model.path).equals(bytes)).toBe(true)
    expect(model).toMatchObject({
      ...{ name: 'Model-Q4_K_M', uri, sizeBytes: bytes.length, licence: { id: 'apache-2.0' } },
      ...{ id: cidModelId(Buffer.from(sha256(bytes), 'hex')), facts: { architecture: 'llama' } },
      files: [{ name: 'Model-Q4_K_M.gguf', sha256: sha256(bytes) }],
    })
    expect(left()).toEqual([
      '.pulling',
      'Model-Q4_K_M',
      'Model-Q4_K_M/Model-Q4_K_M.gguf',
      'Model-Q4_K_M/model.json',
    ])
    expect(await folder.list()).toEqual([model])
    expect(events.at(-1)).toMatchObject({ type: 'progress', receivedBytes: bytes.length })
  })

  it('needs no network for what is there, and looks at every byte of it', async () => {
    const hub = await fakeHub(repo)
    const { pull, root, events } = pullStage(hub)
    const { model } = await pull(uri)
    const asked = hub.asked.length
    expect(await pull(uri)).toEqual({ model, wasThere: true })
    expect(hub.asked.length).toBe(asked)
    // One bit of it has turned.
    const path = join(root, 'Model-Q4_K_M/Model-Q4_K_M.gguf')
    const rotten = Buffer.from(bytes)
    rotten[5000] = (rotten[5000] ?? 0) ^ 1
    writeFileSync(path, rotten)
    expect((await pull(uri)).wasThere).toBe(false)
    expect(readFileSync(path).equals(bytes)).toBe(true)
    expect(events).toContainEqual({
      type: 'trouble',
      message: 'Model-Q4_K_M.gguf is damaged, and is fetched again.',
    })
  })

  it('goes on where it broke off, whatever breaks off where', async () => {
    const small = ggufLike(5000)
    const places = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 3 })
    const hub = await fakeHub({ id: 'o/r', files: [{ path: 'm-Q4_0.gguf', bytes: small }] })
    await fc.assert(
      fc.asyncProperty(places, async (cuts) => {
        const { pull } = pullStage(hub)
        hub.faults = cuts.map((cutAfter): Fault => ({ cutAfter }))
        const before = hub.of('cdn').length
        const { model } = await pull('hf:o/r:Q4_0')
        expect(readFileSync(model.path).equals(small)).toBe(true)
        hub.faults = []
        // What was under way when it broke off may be lost, and nothing before that.
        const ranges = hub
          .of('cdn')
          .slice(before)
          .map(({ range }) => startOf(range))
        expect(ranges).toEqual(ranges.toSorted((x, y) => x - y))
        const sent = [0, ...cuts.map((_, at) => cuts.slice(0, at + 1).reduce((x, y) => x + y))]
        expect(ranges.every((start, at) => start <= (sent[at] ?? 5000))).toBe(true)
      }),
      { numRuns: 6 },
    )
  })

  it('goes on in another process with what an earlier one has left', async () => {
    const hub = await fakeHub(repo)
    const { pull, root, folder } = pullStage(hub, { silenceMs: 100 })
    hub.faults = Array.from({ length: 4 }, (_, at) =>
      at === 0 ? { hangAfter: 70_000 } : { status: 503 },
    )
    await expect(pull(uri)).rejects.toThrow(
      /further than 68.4 KiB: .* has trouble just now \(HTTP 503\)\. Pull again later: it goes on/,
    )
    expect(await folder.unfinished()).toMatchObject([{ uri, receivedBytes: 70_000 }])
    const { model } = await pullStage(hub, { root }).pull(uri)
    expect(readFileSync(model.path).equals(bytes)).toBe(true)
    expect(hub.of('cdn').at(-1)?.range).toBe('bytes=70000-')
  })

  it('takes all parts of a split model, and names it by the bytes of all', async () => {
    const parts = [1, 2, 3].map((n) => ({
      path: `Q4_K_M/Big-Q4_K_M-0000${n}-of-00003.gguf`,
      bytes: ggufLike(1000 + n),
    }))
    const hub = await fakeHub({ id: 'org/Big-GGUF', files: parts })
    const { pull } = pullStage(hub)
    hub.faults = [{}, { cutAfter: 10 }]
    const { model } = await pull('hf:org/Big-GGUF:q4_k_m')
    expect(model.name).toBe('Big-Q4_K_M')
    expect(model.files.map(({ name }) => name)).toEqual(parts.map(({ path }) => path.slice(7)))
    const all = Buffer.concat(parts.map((each) => each.bytes))
    expect(model.id).toBe(cidModelId(Buffer.from(sha256(all), 'hex')))
    hub.repos[0]?.files.splice(1, 1)
    await expect(pullStage(hub).pull('hf:org/Big-GGUF:Q4_K_M')).rejects.toThrow(
      /has only a part of .*00001-of-00003.gguf: .*00002-of-00003.gguf is not there/,
    )
  })

  it('waits for another pull of the same, and both have it', async () => {
    const hub = await fakeHub(repo)
    const { pull, root } = pullStage(hub)
    const other = pullStage(hub, { root })
    const [first, second] = await Promise.all([pull(uri), other.pull(uri)])
    expect([first.wasThere, second.wasThere].sort()).toEqual([false, true])
    expect(hub.of('cdn').length).toBe(1)
  })

  it('sends the token to the hub alone', async () => {
    const hub = await fakeHub({ ...repo, gated: true })
    await expect(pullStage(hub).pull(uri)).rejects.toMatchObject({
      code: 'model_gated',
      message: expect.stringMatching(/Ask for access on .*\/org\/Model-GGUF, then set HF_TOKEN/),
    })
    await pullStage(hub, { token: hub.token }).pull(uri)
    const last = hub.of('hub').at(-1)
    expect(last?.authorization).toBe(`Bearer ${hub.token}`)
    expect(hub.of('cdn').map(({ authorization }) => authorization)).toEqual([undefined])
  })

  it('asks once for a licence that binds who uses it', async () => {
    const hub = await fakeHub({ ...repo, licence: 'llama3.2' })
    const { pull, root, folder, left } = pullStage(hub)
    await expect(pull(uri)).rejects.toMatchObject({
      code: 'licence_not_accepted',
      message: expect.stringMatching(/the licence llama3\.2 .*--accept-licence/),
    })
    expect(left()).toEqual([])
    let asked = 0
    const agree = async () => ++asked > 0
    const { model } = await pull(uri, { agree })
    await folder.remove(model)
    await pullStage(hub, { root }).pull('hf:org/Model-GGUF:Q8_0', { agree })
    expect(asked).toBe(1)
  })

  it('does not take what has changed for what it was', async () => {
    const hub = await fakeHub(repo)
    const { pull, root } = pullStage(hub)
    await pull(uri)
    truncateSync(join(root, 'Model-Q4_K_M/Model-Q4_K_M.gguf'), 100)
    hub.repos = [{ ...repo, files: [{ path: 'Model-Q4_K_M.gguf', bytes: ggufLike(200_000) }] }]
    await expect(pull(uri)).rejects.toMatchObject({
      code: 'model_replaced',
      message: expect.stringMatching(/If you want that one: models rm Model-Q4_K_M/),
    })
  })
})

describe('a server at fault', () => {
  it.each<[string, Fault[], string, RegExp]>([
    ['sends a page', [{ html: true }], 'download_failed', /sends a web page, not a model/],
    ['has nothing', [{ status: 404 }], 'download_failed', /refuses the file \(HTTP 404\)/],
    [
      'sends other bytes',
      [{ flipped: true }],
      'model_hash_wrong',
      /another SHA-256 .* was deleted/,
    ],
    ['says it is longer', [{ lengthLie: 9 }], 'download_failed', /should have 200000 bytes/],
    ['says it is shorter', [{ lengthLie: -9 }], 'download_failed', /should have 200000 bytes/],
    [
      'never says anything',
      [{ hangAfter: 0 }, { hangAfter: 0 }, { hangAfter: 0 }, { hangAfter: 0 }],
      'download_interrupted',
      /said nothing for too long\. Pull again later/,
    ],
  ])('that %s is told of in one line, and nothing is left', async (_, faults, code, message) => {
    const hub = await fakeHub(repo)
    const { pull, left } = pullStage(hub, { silenceMs: 100 })
    hub.faults = faults
    const failing = pull(uri)
    await expect(failing).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    await expect(failing).rejects.toThrow(/^[^\n]+$/)
    expect(left()).toEqual(['.pulling'])
    expect((await pull(uri)).wasThere).toBe(false)
  })

  it('that is slow to begin with, or falls silent, is asked again', async () => {
    const hub = await fakeHub(repo)
    const { pull, events } = pullStage(hub, { silenceMs: 100 })
    hub.hubStatus = [503, 429]
    hub.faults = [{ hangAfter: 1000 }, { status: 502 }, { status: 403 }]
    const { model } = await pull(uri)
    expect(readFileSync(model.path).equals(bytes)).toBe(true)
    const troubles = events.flatMap((event) => (event.type === 'trouble' ? event.message : []))
    expect(troubles).toEqual([
      expect.stringMatching(/trouble just now \(HTTP 503\)/),
      expect.stringMatching(/asked too much just now/),
      expect.stringMatching(/said nothing for too long/),
      expect.stringMatching(/trouble just now \(HTTP 502\)/),
      expect.stringMatching(/does not know this download any more/),
    ])
  })

  it('that knows no ranges is read from the beginning, and given up when it always breaks off', async () => {
    const hub = await fakeHub(repo)
    const { pull } = pullStage(hub, { silenceMs: 50 })
    hub.faults = [{ hangAfter: 9000 }, { ignoresRange: true }]
    expect(readFileSync((await pull(uri)).model.path).equals(bytes)).toBe(true)
    hub.faults = Array.from({ length: 9 }, () => ({ hangAfter: 9000, ignoresRange: true }))
    await expect(pullStage(hub, { silenceMs: 50 }).pull(uri)).rejects.toThrow(
      /cannot go on where it did/,
    )
  })

  it('whose file changes in between is read from the beginning', async () => {
    const hub = await fakeHub({ id: 'o/r', files: [] })
    const url = `${hub.cdnUrl}/o/r/m.gguf`
    const [older, newer] = [ggufLike(9000), ggufLike(9000)]
    hub.repos = [{ id: 'o/r', files: [{ path: 'm.gguf', bytes: older }] }]
    const { pull, root } = pullStage(hub, { silenceMs: 50 })
    hub.faults = [{ hangAfter: 4000 }, { status: 503 }, { status: 503 }, { status: 503 }]
    await expect(pull(url)).rejects.toThrow(/further than/)
    hub.repos = [{ id: 'o/r', files: [{ path: 'm.gguf', bytes: newer }] }]
    const { model } = await pullStage(hub, { root }).pull(url)
    expect(readFileSync(model.path).equals(newer)).toBe(true)
    expect(model.files[0]?.sha256).toBe(sha256(newer))
  })

  it('that answers 416 has its file read anew', async () => {
    const hub = await fakeHub(repo)
    hub.faults = [{ hangAfter: 5000 }, { status: 416 }]
    expect(
      readFileSync((await pullStage(hub, { silenceMs: 50 }).pull(uri)).model.path).equals(bytes),
    ).toBe(true)
  })

  it('that is no hub at all is told of', async () => {
    const hub = await fakeHub(repo)
    hub.captivePortal = true
    await expect(pullStage(hub).pull(uri)).rejects.toThrow(/is not the hub: a page to log in/)
    hub.captivePortal = false
    await expect(pullStage(hub).pull('hf:no/body:Q8_0')).rejects.toThrow(
      /There is no no\/body on .*, or it is private\. .*HF_TOKEN/,
    )
    await expect(pullStage(hub).pull('hf:org/Model-GGUF:Q2_K')).rejects.toThrow(
      /has no Q2_K\. It has Q4_K_M, Q8_0: say hf:org\/Model-GGUF:QUANT/,
    )
    hub.stop()
    await expect(pullStage(hub).pull(uri)).rejects.toThrow(
      /The connection to .* failed \(ECONNREFUSED\)/,
    )
  })
})

describe('a disk', () => {
  it('without room, or a quota that is used up, is told of before a byte is fetched', async () => {
    const hub = await fakeHub(repo)
    const full = pullStage(hub, { room: { free: async () => 256 * 1024 * 1024 + 100_000 } })
    await expect(full.pull(uri)).rejects.toMatchObject({
      code: 'storage_full',
      message: expect.stringMatching(/195 KiB are to be fetched, and the disk .* has .* stay free/),
    })
    expect(full.left()).toEqual(['.pulling'])
    const { pull, left } = pullStage(hub, { room: { quotaBytes: 200_500 } })
    await pull('hf:org/Model-GGUF:Q8_0')
    await expect(pull(uri)).rejects.toMatchObject({
      code: 'model_quota_exceeded',
      message: expect.stringMatching(/195 KiB, and models may have 196 KiB .* 1000 B are taken/),
    })
    expect(left()).not.toContain('Model-Q4_K_M')
  })

  it('that is full in the midst of it is told of, and what came is kept', async () => {
    const hub = await fakeHub(repo)
    const { pull, root, folder } = pullStage(hub, { silenceMs: 50 })
    hub.faults = [{ hangAfter: 5000 }, ...[1, 2, 3].map(() => ({ status: 503 }))]
    await expect(pull(uri)).rejects.toThrow(/further than/)
    const [unfinished] = await folder.unfinished()
    // Takes no byte, and says what a full disk says.
    const part = join(unfinished?.folder ?? '', 'Model-Q4_K_M.gguf.part')
    rmSync(part)
    symlinkSync('/dev/full', part)
    await expect(pull(uri)).rejects.toMatchObject({
      code: 'storage_full',
      message: expect.stringMatching(/is full\. Make room and pull again/),
    })
    expect(
      pullStage(hub, { root })
        .left()
        .some((path) => path === 'Model-Q4_K_M'),
    ).toBe(false)
  })
})

describe('the store', () => {
  it('shows what is damaged in it, and lets go of it', async () => {
    const hub = await fakeHub(repo)
    const { pull, root, folder } = pullStage(hub)
    const { model } = await pull(uri)
    await mkdir(join(root, 'llama3.2%3A1b'))
    writeFileSync(join(root, 'llama3.2%3A1b/model.json'), '{"version":1,"files":[{"name":"../x"}]}')
    truncateSync(model.path, 77)
    const faults = (await folder.list()).map(({ name, fault }) => [name, fault])
    expect(faults.sort()).toEqual([
      [
        'Model-Q4_K_M',
        expect.stringMatching(/has 77 bytes, not 200000\. Pull it again: models pull/),
      ],
      ['llama3.2:1b', expect.stringMatching(/Its note is damaged\. Remove it with "models rm/)],
    ])
    for (const each of await folder.list()) await folder.remove(each)
    expect(await folder.list()).toEqual([])
  })

  it('does not let one name stand for two models', async () => {
    const hub = await fakeHub(repo)
    const { pull } = pullStage(hub)
    await pull(uri, { name: 'mine' })
    await expect(pull('hf:org/Model-GGUF:Q8_0', { name: 'mine' })).rejects.toMatchObject({
      code: 'model_name_taken',
      message: expect.stringMatching(/Give this one another name: NAME=hf:org\/Model-GGUF:Q8_0/),
    })
  })

  it('keeps nothing that llama.cpp cannot use', async () => {
    const hub = await fakeHub(repo)
    const inspect = async () => {
      throw new PeerError('model_unsupported', 'It has an architecture of tomorrow.')
    }
    const { pull, left } = pullStage(hub, { inspect })
    await expect(pull(uri)).rejects.toThrow(/of tomorrow/)
    expect(left()).toEqual(['.pulling'])
  })

  it('takes files of this machine, and refuses what is none', async () => {
    const hub = await fakeHub()
    const { pull } = pullStage(hub)
    const path = join(temporaryFolder(), 'own.gguf')
    writeFileSync(path, bytes)
    const { model } = await pull(path)
    expect(model).toMatchObject({ name: 'own', uri: `file:${path}` })
    expect(readFileSync(model.path).equals(bytes)).toBe(true)
    writeFileSync(`${path}.txt`, 'text')
    await expect(pull(`${path}.txt`)).rejects.toThrow(/is not a GGUF file/)
    await expect(pull('/no/such.gguf')).rejects.toThrow(/Cannot read \/no\/such\.gguf: ENOENT/)
  })
})
