import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { defaultLauncher } from '../../../src/engines/llama/child-process.ts'
import type { Chunk } from '../../../src/wire/chunk.ts'
import type { FindDrafting } from '../../../src/wire/drafter.ts'
import { type Malformation, writeMalformed } from '../../gguf/malformed.ts'
import { chatModel } from './core-harness.ts'
import { chatJob, collect, supervised, textOf } from './supervised.ts'

const { entry } = defaultLauncher
const folder = mkdtempSync(join(tmpdir(), 'pinaivu-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('the real engine process', () => {
  it('killed in the middle of an answer ends it with a typed error, and comes back', async () => {
    await using it = supervised(chatModel, { entry })
    it.supervisor.start()
    const before = textOf(await collect(it.engine.generate, chatJob('What is a receipt?')))
    expect(before.length).toBeGreaterThan(20)

    const { pid } = it.supervisor
    const cut = async () => {
      const job = chatJob('Tell me a long story.')
      for await (const chunk of it.engine.generate(job, new AbortController())) {
        if (chunk.type === 'tokens' && chunk.index === 0) process.kill(Number(pid), 'SIGKILL')
      }
    }
    await expect(cut()).rejects.toMatchObject({ code: 'engine_failed' })
    const after = textOf(await collect(it.engine.generate, chatJob('What is a receipt?')))
    expect(after).toBe(before)
    expect(it.supervisor.pid).not.toBe(pid)
  })

  it('killed before the first token repeats the job, unseen by who asked', async () => {
    await using it = supervised(chatModel, { entry })
    it.supervisor.start()
    const expected = textOf(await collect(it.engine.generate, chatJob('What is a peer?')))
    const answer = collect(it.engine.generate, chatJob('What is a peer?'))
    process.kill(Number(it.supervisor.pid), 'SIGKILL')
    expect(textOf(await answer)).toBe(expected)
  })

  it('stops when it is asked to, without being killed', async () => {
    const it = supervised(chatModel, { entry })
    it.supervisor.start()
    await it.state('ready')
    const pid = Number(it.supervisor.pid)
    await it.supervisor.stop()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })
})

describe('who drafts elsewhere', () => {
  it('hears of tokens, and its guesses come true', async () => {
    let known: number[] = []
    const taken: (number | undefined)[] = []
    const heard: number[] = []
    const findDrafting: FindDrafting = (_, guess) => ({
      name: 'far',
      committed(choice, first, ids) {
        heard.splice(first, heard.length, ...ids)
        guess(choice, heard.length, known.slice(heard.length, heard.length + 8))
      },
      end: (accepted) => taken.push(accepted),
    })
    await using it = supervised(chatModel, { entry, findDrafting })
    it.supervisor.start()
    const ids = (chunks: Chunk[]) => chunks.flatMap((it) => (it.type === 'tokens' ? it.ids : []))
    const job = chatJob('What is a receipt?', { watched: true })
    known = ids(await collect(it.engine.generate, job))
    expect(heard).toEqual(known)
    const chunks = await collect(it.engine.generate, job)
    expect(ids(chunks)).toEqual(known)
    const last = chunks.at(-1)
    const drafting = last?.type === 'done' ? last.drafting : undefined
    const far = drafting?.find(({ drafter }) => drafter === 'far')
    expect(far).toMatchObject({ accepted: expect.any(Number) })
    expect(taken).toEqual([0, far?.accepted])
  })
})

describe('a file that is no model', () => {
  const files: [string, () => string][] = [
    ['garbage', () => write('garbage.gguf', Buffer.alloc(100_000, 'GGUF garbage '))],
    ...(['missingFeedForward', 'truncatedTensors', 'absurdTensorCount'] as Malformation[]).map(
      (kind): [string, () => string] => [kind, () => writeMalformed(folder, kind)],
    ),
  ]

  it.each(files)('(%s) is failed with a reason', async (_, make) => {
    await using it = supervised(make(), { entry })
    it.supervisor.start()
    await it.state('failed')
    expect(it.supervisor.failure?.message).toMatch(/Fetch/)
    expect(it.supervisor.failure?.message).not.toContain(folder)
    await expect(collect(it.engine.generate, chatJob('Hello'))).rejects.toMatchObject({
      code: 'model_failed',
    })
  })
})

function write(name: string, content: Buffer): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
