import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { rounds } from '../campaign.ts'
import { hasPython, SecondReader } from '../wire/second-reader.ts'
import { isAmong, tampered } from '../wire/tampered.ts'
import { ask, type PeerProcess, runProgram, startPeer } from './peer-process.ts'

const chat = {
  model: 'pinaivu-demo',
  temperature: 0,
  max_tokens: 8,
  messages: [{ role: 'user', content: 'What is a peer?' }],
}
/** The demo model's ends are banned, so that it goes on. */
const endless = { ...chat, max_tokens: 900, logit_bias: { 0: -100, 2: -100 } }
/** More than one segment. */
const long = { ...endless, max_tokens: 40 }

/** Of what a peer shows, with a proof of all that it knows. */
const nobodys = ['fuzzy_trace', 'retrieved_chunks']

// All that a run brought, checked by a reader in another language.
const title = 'the second reader'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  const started: PeerProcess[] = []
  let coordinator: PeerProcess
  let provider: PeerProcess
  let reader: SecondReader
  /** Texts as peers show them, and as the program exports them. */
  const shown = new Map<string, string>()
  const exported = new Map<string, string>()

  const start = async (...args: string[]) => {
    const peer = await startPeer({ args: ['--network', 'verified', ...args] })
    started.push(peer)
    return peer
  }

  /** The id of a request that was answered, or left amid its answer. */
  async function requested(path: string, body: object, { leaves = false } = {}): Promise<string> {
    const abort = new AbortController()
    const { signal } = abort
    const answer = await ask(coordinator.ready, path, body, { method: 'POST', signal })
    expect([path, answer.status]).toEqual([path, 200])
    let read = ''
    try {
      const decoder = new TextDecoder()
      for await (const bytes of answer.body ?? []) {
        read += decoder.decode(bytes, { stream: true })
        if (leaves && read.split('\n\n').length > 36) abort.abort()
      }
    } catch (error) {
      if (!leaves) throw error
    }
    return answer.headers.get('x-request-id') ?? ''
  }

  async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
    const signal = AbortSignal.timeout(20_000)
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      await sleep(50, undefined, { signal })
    }
  }

  const json = async (path: string) => {
    const answer = await ask(coordinator.ready, path)
    return answer.status === 200 ? await answer.json() : undefined
  }

  async function keep(name: string, request: string): Promise<void> {
    const { ryv1_cid: cid } = await until(() => json(`/v1/receipts/${request}`))
    const receipt = await until(async () => {
      const told = await json(`/v8/receipts/${cid}`)
      // What the provider says, and what the coordinator does.
      return told?.proof?.entries.length === 2 ? told : undefined
    })
    shown.set(name, JSON.stringify(receipt))
    for (const { cid: segment } of receipt.segments.slice(0, 1)) {
      shown.set(`segment of ${name}`, JSON.stringify(await json(`/v8/receipts/${segment}`)))
    }
    const command = ['receipts', 'export', cid, '-', '--data-dir', coordinator.ready.dataDir]
    const { stdout, code } = await runProgram(command)
    expect(code).toBe(0)
    exported.set(name, stdout)
  }

  beforeAll(async () => {
    reader = new SecondReader()
    provider = await start()
    coordinator = await start(
      ...['--no-demo', '--roles', 'coordinator', '--bootstrap', provider.ready.addrs[0] ?? ''],
    )
    await until(async () => {
      const { data } = await json('/v1/models')
      const served = data.filter(({ nodes }: { nodes: number }) => nodes > 0)
      return served.length >= 2 || undefined
    })
    const path = '/v1/chat/completions'
    const requests = {
      chat: await requested(path, chat),
      stream: await requested(path, { ...long, stream: true }),
      choices: await requested(path, { ...chat, n: 2, temperature: 1, seed: 1 }),
      cancelled: await requested(path, { ...endless, stream: true }, { leaves: true }),
      embeddings: await requested('/v1/embeddings', {
        model: 'pinaivu-demo-embed',
        input: ['one', 'two'],
      }),
    }
    await Promise.all(Object.entries(requests).map(([name, id]) => keep(name, id)))
  }, 60_000)
  afterAll(async () => {
    await reader.stop()
    await Promise.all(started.map((peer) => peer.stop()))
  })

  it('accepts every receipt and every proof of a run', async () => {
    const names = ['cancelled', 'chat', 'choices', 'embeddings', 'stream']
    expect([...exported.keys()].sort()).toEqual(names)
    expect([...shown.keys()]).toEqual(expect.arrayContaining([...names, 'segment of stream']))
    const { tokens } = JSON.parse(shown.get('cancelled') ?? '')
    expect(tokens.output).toBeLessThan(endless.max_tokens)
    for (const [name, file] of [...shown, ...exported]) {
      expect([name, await reader.unsignedOf(file)]).toEqual([name, []])
    }
  })

  /** What was changed in copies that it does not refuse. It must say that nobody signed that. */
  async function accepted(file: string, random: Random): Promise<string[]> {
    const changed: string[] = []
    for (const { at, text } of tampered(file, random)) {
      const unsigned = await reader.unsignedOf(text)
      if (unsigned === undefined) continue
      expect([at, isAmong(unsigned, at)]).toEqual([at, true])
      changed.push(at)
    }
    return changed
  }

  it('refuses each with anything else in it', { timeout: 900_000 }, async () => {
    for (let seed = 1; seed <= rounds(1, 30); seed++) {
      const random = seededRandom(seed)
      for (const [name, file] of exported) {
        expect([seed, name, await accepted(file, random)]).toEqual([seed, name, []])
      }
      for (const [name, file] of shown) {
        expect([seed, name, await accepted(file, random)]).toEqual([seed, name, nobodys])
      }
    }
  })
})
