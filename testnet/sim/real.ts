import { createHash } from 'node:crypto'
import {
  createPeer,
  identityFromSeed,
  openMemoryStore,
  type Peer,
  readConfig,
  silentLogger,
  systemClock,
} from '../../src/simulation.ts'
import { AnswerReader } from './answer-reader.ts'
import { jobOf } from './client.ts'
import { Dice } from './dice.ts'
import { planRequest, type RequestPlan } from './plan-requests.ts'
import { MODELS } from './script.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { Verdicts, type Violation } from './verdicts.ts'

/** Until a peer that has started knows another. */
const JOIN_MS = 10_000
/** Until all know enough of each other; and until who has gone is not listed any more. */
const MEET_MS = 60_000
const FORGET_MS = 45_000
const LOOK_EVERY_MS = 250
/** Peers that are known to each at the end: more are not needed for any request. */
const KNOWN_MIN = 5
const ANSWERS = 60
const AT_ONCE = 8

export interface RealOutcome {
  peers: number
  answers: number
  violations: Violation[]
  wallMs: number
  rssBytes: number
}

interface RealPeer {
  id: string
  peer: Peer
  listed: Set<string>
}

/** Peers over libp2p within this process: what the simulation stands for, in real time. */
export async function runReal(count: number): Promise<RealOutcome> {
  const began = performance.now()
  const dice = new Dice(`real ${count}`)
  const verdicts = new Verdicts(() => performance.now() - began)
  const peers: RealPeer[] = []
  let answers = 0
  try {
    for (let number = 0; number < count; number++) {
      const joining = await realPeer(number, peers[0]?.peer.ready().addrs ?? [])
      peers.push(joining)
      // As people start them, one after the other. On one event loop, of all handshakes that thirty
      // begin at the same moment none ends within its time, and each is begun again.
      if (number > 0) await until(() => joining.listed.size > 0, JOIN_MS)
    }
    const enough = Math.min(KNOWN_MIN, count - 1)
    const isMet = await until(() => peers.every(({ listed }) => listed.size >= enough), MEET_MS)
    verdicts.expect(isMet, 'peers come back', () => `not everybody knows ${enough} others`)
    const requests = Array.from({ length: ANSWERS }, (_, number) => ({
      ...planRequest(dice, count),
      ...{ number, at: 0, isCalm: true, leaveAfterMs: undefined, maxPrice: undefined, readMs: 0 },
    }))
    for (let at = 0; at < requests.length; at += AT_ONCE) {
      const part = requests.slice(at, at + AT_ONCE)
      answers += (await Promise.all(part.map((each) => answered(each, peers, verdicts)))).length
    }
    await leaveAndForget(peers, verdicts)
    return {
      ...{ peers: count, answers, violations: verdicts.violations },
      ...{ wallMs: performance.now() - began, rssBytes: process.memoryUsage.rss() },
    }
  } finally {
    await Promise.all(peers.map(({ peer }) => peer.stop()))
  }
}

async function realPeer(number: number, bootstrap: readonly string[]): Promise<RealPeer> {
  const seed = createHash('sha256').update(`real ${number}`).digest()
  const config = readConfig({
    flags: {
      ...{ 'no-http': true, 'no-demo': true, network: 'sim', listen: ['/ip4/127.0.0.1/tcp/0'] },
      bootstrap,
    },
    ...{ env: {}, readFile: () => undefined, platform: 'linux', home: '/', cwd: '/' },
  })
  const peer = await createPeer(config, {
    identity: identityFromSeed(seed),
    store: await openMemoryStore({ logger: silentLogger }),
    engine: new ScriptedEngine(systemClock, MODELS, { slots: 4, tokenMs: 2, prefillMs: 5 }),
  })
  const listed = new Set<string>()
  peer.onPeer(({ id, state }) => (state === 'found' ? listed.add(id) : listed.delete(id)))
  await peer.start({ signal: AbortSignal.timeout(30_000) })
  return { id: peer.ready().peerId, peer, listed }
}

async function answered(
  request: RequestPlan,
  peers: readonly RealPeer[],
  verdicts: Verdicts,
): Promise<void> {
  const reader = new AnswerReader(request)
  const at = peers[request.peer]
  // Own work goes no way at all: another peer is to do it.
  const job = { ...jobOf(request), wishes: { not: [at?.id ?? ''] } }
  const rule = 'answers are what the model said'
  try {
    for await (const chunk of at?.peer.generate(job, { signal: AbortSignal.timeout(60_000) }) ??
      []) {
      const wrong = reader.read(chunk)
      verdicts.expect(wrong === undefined, rule, () => `request ${request.number}: ${wrong}`)
    }
  } catch (error) {
    verdicts.broken('requests succeed in calm', `request ${request.number}: ${error}`)
  }
}

/** A third of them leaves; nobody lists those any more. */
async function leaveAndForget(peers: RealPeer[], verdicts: Verdicts): Promise<void> {
  const leaving = peers.splice(Math.ceil((peers.length * 2) / 3))
  await Promise.all(leaving.map(({ peer }) => peer.stop()))
  const isListed = () => peers.some(({ listed }) => leaving.some(({ id }) => listed.has(id)))
  const isForgotten = await until(() => !isListed(), FORGET_MS)
  verdicts.expect(isForgotten, 'nobody sees a ghost', () => 'who has left is still listed')
}

async function until(isSo: () => boolean, ms: number): Promise<boolean> {
  for (let waited = 0; !isSo(); waited += LOOK_EVERY_MS) {
    if (waited >= ms) return false
    await systemClock.sleep(LOOK_EVERY_MS, new AbortController().signal)
  }
  return true
}
