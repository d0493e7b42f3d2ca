import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rounds } from '../campaign.ts'
import { bytesThrough, canMakeInternet, type NatKind } from './internet.ts'
import { gateway, type LanPeer } from './lan-peers.ts'
import { NatPeers } from './nat-peers.ts'

const patient = { timeout: 60_000, interval: 100 }
const model = 'pinaivu-demo'

const able = await canMakeInternet()

/** What the relay's cable carries while so many answers are made. */
async function carried(relay: LanPeer, work: () => Promise<void>): Promise<number> {
  const before = await bytesThrough(relay.machine)
  await work()
  return (await bytesThrough(relay.machine)) - before
}

async function streamed(asked: LanPeer): Promise<{ text: string; by: string | null }> {
  const answer = await asked.chat({ stream: true })
  expect(answer.status).toBe(200)
  return { text: textOf(await answer.text()), by: answer.headers.get('x-pinaivu-node-id') }
}

function textOf(stream: string): string {
  const chunks = stream.split('\n').filter((line) => line.startsWith('data: {'))
  return chunks
    .map((line) => JSON.parse(line.slice('data: '.length)))
    .map(({ choices, error }) => choices?.[0]?.delta?.content ?? error?.code ?? '')
    .join('')
}

type Pair = [NatKind, NatKind, 'straight' | 'relayed']

const pairs: Pair[] = [
  ['cone', 'cone', 'straight'],
  ['symmetric', 'symmetric', 'relayed'],
]

// Longer than what is waited for in it, so that a failure says what was there instead.
describe.runIf(able).each(pairs.slice(0, rounds(1, 2)))(
  'two peers behind NATs (%s, %s), joined through a third',
  { timeout: 150_000 },
  (ofAsked, ofProvider, way) => {
    const peers = new NatPeers()
    let relay: LanPeer
    let asked: LanPeer
    let provider: LanPeer

    beforeAll(async () => {
      await peers.internet.open()
      relay = await peers.open('60.0.0.1', ['--no-demo', '--roles', 'relay'])
      ;[asked, provider] = await Promise.all([
        peers.behind('61.0.0.1', ofAsked, gateway, relay),
        peers.behind('62.0.0.1', ofProvider, [], relay),
      ])
    }, 60_000)
    afterAll(() => peers.close())

    it('find each other, and one answers through the other, streamed', async () => {
      await expect.poll(() => asked.nodesWith(model), patient).toBe(1)
      const { text, by } = await streamed(asked)
      expect(text).toContain('one running process in the network')
      expect(by).toBe(provider.id)
    })

    it('know that they are behind one, and say so', async () => {
      for (const peer of [asked, provider]) {
        const nat = async () => (await readyOf(peer)).nat
        await expect.poll(nat, patient).toEqual({ verdict: 'private', relays: [relay.id] })
        const { addrs } = await readyOf(peer)
        expect(addrs[0]).toContain(`/ip4/60.0.0.1/tcp/7463/p2p/${relay.id}/p2p-circuit/`)
        expect((await peer.run('status')).stdout).toContain('behind a NAT')
      }
      expect((await readyOf(relay)).nat).toEqual({ verdict: 'public', relays: [] })
    })

    // Whether a hole can be punched in time hangs on what else this machine does.
    it.runIf(rounds(0, 1) > 0)(`work on ${way}`, async () => {
      const answers = async () => {
        for (let count = 0; count < 5; count++) await streamed(asked)
      }
      const isThere = async () => (await carried(relay, answers)) < 8_000
      if (way === 'straight') await expect.poll(isThere, patient).toBe(true)
      else expect(await isThere()).toBe(false)
    })
  },
)

async function readyOf(peer: LanPeer) {
  type Readiness = { network: { nat: { verdict: string; relays: string[] }; addrs: string[] } }
  return ((await (await peer.ask('/readyz')).json()) as Readiness).network
}

describe.runIf(able && rounds(0, 1) > 0)('a relay that dies', { timeout: 120_000 }, () => {
  const peers = new NatPeers()
  let relay: LanPeer
  let asked: LanPeer
  let hidden: LanPeer

  beforeAll(async () => {
    await peers.internet.open()
    relay = await peers.open('60.0.0.1', ['--no-demo', '--roles', 'relay'])
    ;[asked, hidden] = await Promise.all([
      peers.behind('61.0.0.1', 'symmetric', gateway, relay),
      peers.behind('62.0.0.1', 'symmetric', [], relay),
    ])
  }, 60_000)
  afterAll(() => peers.close())

  it('in the middle of an answer is one more lost provider: another goes on', async () => {
    await expect.poll(() => asked.nodesWith(model), patient).toBe(1)
    const answer = await untilItBegins(hidden, () => asked.chat({ stream: true }))
    const open = await peers.open('63.0.0.1', [], relay)
    await expect.poll(() => asked.sees(open), patient).toBe(true)
    await expect.poll(() => asked.nodesWith(model), patient).toBe(2)
    const began = performance.now()
    await peers.kill(relay)
    const said = await answer.text()
    // Of a connection that was lost, it is heard at once.
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(said).toContain('"resumed"')
    expect(textOf(said)).toContain('one running process in the network')
    expect(answer.headers.get('x-pinaivu-node-id')).toBe(hidden.id)
    expect((await streamed(asked)).by).toBe(open.id)
  })
})

/** Lets the engine work for some milliseconds at a time, until the answer has begun, and no longer. */
async function untilItBegins(provider: LanPeer, asking: () => Promise<Response>) {
  provider.signalEngines('SIGSTOP')
  let begun: Response | undefined
  const answering = asking().then((answer) => {
    begun = answer
    return answer
  })
  const signal = AbortSignal.timeout(20_000)
  while (begun === undefined) {
    signal.throwIfAborted()
    provider.signalEngines('SIGCONT')
    await sleep(3)
    provider.signalEngines('SIGSTOP')
    await sleep(30)
  }
  return await answering
}
