import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getLlama, type Llama } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { nativeLibrary } from '../../../src/engines/llama/core/binding.ts'
import { checkHead, readHead } from '../../../src/engines/llama/core/gguf-check.ts'
import { writeTiny } from '../../gguf/llama-model.ts'
import { malformations, writeMalformed } from '../../gguf/malformed.ts'
import { ask, chatModel, Harness } from './core-harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'core-load-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function loadFailure(modelPath: string) {
  const engine = new Harness()
  await engine.load({ modelPath })
  await engine.core.dispose()
  return engine.last('load-failed')
}

describe('loading', () => {
  it('tells how far it is, then what was loaded', async () => {
    const engine = await Harness.load()
    const fractions = engine.messages.flatMap((it) =>
      it.type === 'load-progress' ? [it.fraction] : [],
    )
    expect(fractions.length).toBeGreaterThan(3)
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(engine.last('ready')).toMatchObject({
      slots: 4,
      threads: 1,
      facts: {
        kind: 'chat',
        architecture: 'llama',
        parameters: 5_344_512,
        quant: 'Q8_0',
        sizeBytes: 5_753_280,
        contextLength: 1024,
        vocabularySize: 2048,
        embeddingLength: 256,
      },
      hardware: { gpu: [], backend: 'cpu' },
    })
    await engine.core.dispose()
  })

  it('keeps to the slots and the context it was told', async () => {
    const engine = await Harness.load({ slots: 2, contextLength: 256 })
    expect(engine.last('ready')).toMatchObject({ slots: 2, facts: { contextLength: 256 } })
    const heard = await engine.run(ask('box '.repeat(300)))
    expect(heard.failure?.message).toMatch(/^This model's context is 256 tokens; /)
    await engine.core.dispose()
  })

  it('answers with a model of random weights', async () => {
    const path = join(folder, 'tiny.gguf')
    writeTiny(path)
    const engine = await Harness.load({ modelPath: path })
    const heard = await engine.run(ask('Hello!', { maxTokens: 20, temperature: 1 }))
    expect(heard.done.usage.outputTokens).toBeLessThanOrEqual(20)
    await engine.core.dispose()
  })

  it('refuses a context for which there is no memory', async () => {
    const engine = new Harness()
    await engine.load({ modelPath: chatModel, contextLength: 2 ** 30 })
    expect(engine.last('load-failed')).toMatchObject({ code: 'model_too_large' })
    await engine.core.dispose()
  })
})

describe('a model that does not fit', () => {
  it('is refused with numbers before it is loaded', async () => {
    const free = vi.spyOn(process, 'availableMemory').mockReturnValue(4 * 1024 * 1024)
    try {
      const engine = new Harness()
      await engine.load({ modelPath: chatModel })
      expect(engine.messages.some(({ type }) => type === 'load-progress')).toBe(false)
      expect(engine.last('load-failed')).toMatchObject({
        code: 'model_too_large',
        message: expect.stringMatching(
          /needs .* MiB at the least: 5\.\d+ MiB for its weights, and .* for 4 short answers at once\. 3\.6 MiB may be taken \(free are 4 MiB of memory\)\. Serve a smaller/,
        ),
      })
      await engine.core.dispose()
    } finally {
      free.mockRestore()
    }
  })

  it('under what all models may take is refused, or has a shorter context', async () => {
    const engine = new Harness()
    await engine.load({ modelPath: chatModel, memoryMax: 6 * 1024 * 1024 })
    expect(engine.last('load-failed')?.message).toMatch(/may take 6 MiB \(--model-memory\): raise/)
    await engine.core.dispose()
    const whole = await Harness.load()
    const { memoryBytes = 0, trainedContext } = whole.last('ready') ?? {}
    expect(trainedContext).toBe(1024)
    expect(memoryBytes).toBeGreaterThan(5_700_000)
    await whole.core.dispose()
  })
})

describe('a file that is no model', () => {
  it('may not be there', async () => {
    const failed = await loadFailure(join(folder, 'nobody.gguf'))
    expect(failed?.code).toBe('model_file_missing')
    expect(failed?.message).toContain('nobody.gguf')
    expect(failed?.message).not.toContain(folder)
  })

  it('may be a folder, or text', async () => {
    expect((await loadFailure(folder))?.code).toBe('model_file_missing')
    const path = join(folder, 'text.gguf')
    writeFileSync(path, 'Not a model at all.')
    expect((await loadFailure(path))?.code).toBe('model_file_invalid')
  })

  it('may end too soon', async () => {
    const failed = await loadFailure(writeMalformed(folder, 'truncatedTensors'))
    expect(failed?.code).toBe('model_file_invalid')
    expect(failed?.message).toContain('truncatedTensors.gguf')
    expect(failed?.message).not.toContain(folder)
  })

  /** No description is of it: a version, then counts. */
  const headOf = (name: string, ...parts: (number | bigint)[]) => {
    const head = Buffer.alloc(1000)
    head.write('GGUF')
    let at = head.writeUInt32LE(3, 4)
    for (const part of parts) {
      at = typeof part === 'bigint' ? head.writeBigUInt64LE(part, at) : head.writeUInt32LE(part, at)
    }
    const path = join(folder, `${name}.gguf`)
    writeFileSync(path, head)
    return path
  }

  it.each([
    ['values', [0n, 2n ** 64n - 1n], /more than the file has/],
    ['tensors', [2n ** 40n, 0n], /more than the file has/],
    ['dimensions', [1n, 0n, 0n, 2 ** 32 - 1], /no known shape/],
  ] as const)('may claim more %s than it has, and is refused at once', async (what, parts, why) => {
    await expect(readHead(headOf(`many-${what}`, ...parts))).rejects.toThrow(why)
  })

  it('may have room for what no model has, and is refused at once too', async () => {
    // One value, without a name: an array of bytes.
    const path = headOf('sparse', 0n, 1n, 0n, 9, 0, 2n ** 39n)
    truncateSync(path, 2 ** 40)
    await expect(readHead(path)).rejects.toThrow(/or than any model/)
    // Two of them: neither is too large alone. Behind the first, all is zeros but the second.
    const many = 3_000_000
    const two = headOf('two', 0n, 2n, 0n, 9, 0, BigInt(many))
    truncateSync(two, 8_000_000)
    const second = Buffer.alloc(24)
    second.writeUInt32LE(9, 8)
    second.writeBigUInt64LE(BigInt(many), 16)
    const file = openSync(two, 'r+')
    writeSync(file, second, 0, second.length, 24 + 24 + many)
    closeSync(file)
    await expect(readHead(two)).rejects.toThrow(/or than any model/)
  })

  it('may be so in any of its files', async () => {
    const path = join(folder, 'split-00001-of-00002.gguf')
    writeTiny(path)
    renameSync(headOf('second', 2n ** 40n), join(folder, 'split-00002-of-00002.gguf'))
    await expect(readHead(path)).rejects.toThrow(/split-00002-of-00002.gguf .* names more/)
    rmSync(join(folder, 'split-00002-of-00002.gguf'))
    execFileSync('mkfifo', [join(folder, 'split-00002-of-00002.gguf')])
    await expect(readHead(path)).rejects.toThrow(/It is not a file/)
  })

  describe('is found out before llama.cpp sees it', () => {
    let llama: Llama
    beforeAll(async () => {
      llama = await getLlama({ build: 'never', skipDownload: true, gpu: false })
    })
    afterAll(async () => {
      await llama.dispose()
    })

    it.each(malformations)('%s', async (malformation) => {
      const path = writeMalformed(folder, malformation)
      const check = async () => checkHead(await readHead(path), nativeLibrary(llama))
      const code =
        malformation === 'unknownArchitecture' ? 'model_unsupported' : 'model_file_invalid'
      await expect(check()).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`${malformation}.gguf`),
      })
    })
  })
})
