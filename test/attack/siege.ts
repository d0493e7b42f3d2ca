import { identityFromSeed } from '../../src/identity/identity.ts'
import type { AdvertModel } from '../../src/wire/advert.ts'
import { NETWORK, signal, stage } from '../market/coordinator-stage.ts'
import { type Story, Writer } from '../market/failover/writer.ts'
import type { Line } from '../market/provider-line.ts'
import { HostilePeer } from './hostile-peer.ts'
import type { Conduct, ProviderAttack } from './provider-attacks.ts'

const STORY: Story = [Array.from({ length: 12 }, (_, at) => `word${at} `)]
const TEXT = STORY[0]?.join('') ?? ''

const HONEST = 3
const FRAME_MS = 100
const FIRST_TOKEN_MS = 300
/** Whoever wants to be asked is better than all others until then. */
const TEMPTING_MS = 100
const STRANGERS = 12
/** As many as a directory holds. */
const LISTED_MAX = 250
/** They say all the time that they have room. */
const BOASTING = 6
export const TURNCOATS = 2
/** One job in so many. */
const WAVERS_OF = 8
const ACCOUNTS = 40

export const percentile = (times: readonly number[], part: number): number =>
  times[Math.ceil(part * times.length) - 1] ?? Number.POSITIVE_INFINITY

/**
 * strangers: nobody knows them, and they say that they are free, fast and cost nothing · flood: the
 * same with ever new ids · turncoats: they were the best until now · waverers: they still are, but
 * for a job now and then.
 */
export type Guise = 'strangers' | 'flood' | 'turncoats' | 'waverers'

export interface SiegeOptions {
  /** Of which the attackers do one each, in turn. */
  attacks?: readonly ProviderAttack[]
  as?: Guise
  requests: number
  everyMs?: number
}

export interface Figures {
  errors: string[]
  /** Answers with another text. */
  wrong: number
  /** Jobs that attackers were given, for each request. */
  share: number
  /** How long each request took, the shortest first. */
  times: number[]
  /** Honest peers that were called misbehaving. */
  slandered: number
}

const NOTHING: ProviderAttack = { name: 'nothing', serve: async () => {} }
const everything: Partial<AdvertModel> = {
  slots: 1_000,
  contextLength: 4_000_000,
  price: { input: 0, output: 0 },
}

/** Requests at one coordinator with honest providers, and what attackers among them make of it. */
export async function siege({
  attacks = [],
  as = 'strangers',
  requests,
  everyMs = 200,
}: SiegeOptions): Promise<Figures> {
  const all = await stage({ firstByteMs: 120_000 })
  const { clock, collect, explores, hub, list, directory } = all
  let isOn = false
  let ids = 0

  const conduct = (line: Line): Conduct => {
    const writer = new Writer(line, { story: STORY, step: 3, held: 0, allowance: 256 })
    return { line, writer, clock }
  }
  const enlist = async (serve: (line: Line) => Promise<void>, model: Partial<AdvertModel> = {}) => {
    const seed = new Uint8Array(32).fill(77)
    new DataView(seed.buffer).setUint32(0, ++ids)
    const identity = identityFromSeed(seed)
    const network = hub.network(identity.peerId)
    const parts = { network, identity, clock, name: NETWORK }
    const peer = new HostilePeer(parts, serve)
    await network.start({ signal })
    list(network, { model: { price: { input: 1, output: 1 }, ...model } })
    return peer
  }

  const honest: HostilePeer[] = []
  for (let n = 0; n < HONEST; n++) {
    honest.push(await enlist((line) => workWell(conduct(line), FIRST_TOKEN_MS + 20 * n)))
  }
  const attackers: HostilePeer[] = []
  const boast = (peerId: string) =>
    all.load(peerId, { slots: 1_000, tokensPerSecond: 1_000_000, running: 0 })
  const nextAttack = () => attacks[attackers.length % attacks.length] ?? NOTHING
  const stranger = async () => {
    const attack = nextAttack()
    const peer = await enlist((line) => attack.serve(conduct(line)), everything)
    attackers.push(peer)
  }
  const traitor = async (isHostile: (job: number) => boolean) => {
    const attack = nextAttack()
    let jobs = 0
    const peer = await enlist(async (line) => {
      if (isOn && isHostile(++jobs)) await attack.serve(conduct(line))
      else await workWell(conduct(line), TEMPTING_MS)
    }, everything)
    attackers.push(peer)
  }
  const isFlood = as === 'flood' && attacks.length > 0
  if (as === 'strangers' && attacks.length > 0) {
    for (let n = 0; n < Math.max(STRANGERS, attacks.length); n++) await stranger()
  }
  if (attacks.length > 0 && (as === 'turncoats' || as === 'waverers')) {
    const isHostile = (job: number) => as === 'turncoats' || job % WAVERS_OF === 0
    for (let n = 0; n < TURNCOATS; n++) await traitor(isHostile)
  }

  const ask = async (n: number) => {
    const collecting = collect({ cacheScope: `acct_${n % ACCOUNTS}` })
    const settle = collecting.then(
      ({ text }) => (text === TEXT ? 'right' : 'wrong'),
      (error: unknown) => String((error as { code?: string }).code ?? error),
    )
    return await settle
  }
  // Those that are to be known are, by a few jobs each.
  const known = [...honest, ...(as === 'turncoats' || as === 'waverers' ? attackers : [])]
  for (const { peerId } of known) {
    for (let n = 0; n < 2; n++) {
      const answer = collect({ wishes: { only: [peerId] } })
      await clock.advance(1_000)
      await answer
    }
  }
  for (const each of [...honest, ...attackers]) each.lines.length = 0
  isOn = true
  explores.now = 'by chance'

  const outcomes: string[] = []
  const times: number[] = []
  for (let n = 0; n < requests; n++) {
    const beganAt = clock.elapsed()
    void ask(n).then((outcome) => {
      outcomes.push(outcome)
      times.push(clock.elapsed() - beganAt)
    })
    if (isFlood) await stranger()
    directory.remove(attackers[attackers.length - LISTED_MAX]?.peerId ?? '')
    for (const { peerId } of attackers.slice(-BOASTING)) boast(peerId)
    await clock.advance(everyMs)
  }
  for (let n = 0; n < 1_000 && outcomes.length < requests; n++) await clock.advance(10_000)
  times.push(...Array<number>(requests - outcomes.length).fill(Number.POSITIVE_INFINITY))
  times.sort((a, b) => a - b)
  const isHonest = new Set(honest.map(({ peerId }) => peerId))
  const stopping = all.coordinator.stop()
  // Providers have a second to end their streams.
  await clock.advance(2_000)
  await stopping
  return {
    errors: outcomes.filter((each) => each !== 'right' && each !== 'wrong'),
    wrong: outcomes.filter((each) => each === 'wrong').length,
    share: attackers.reduce((sum, { lines }) => sum + lines.length, 0) / requests,
    times,
    slandered: all.faults().filter(({ peerId }) => isHonest.has(peerId)).length,
  }
}

async function workWell({ line, writer, clock }: Conduct, firstTokenMs: number): Promise<void> {
  const { ended } = line.stream
  writer.accept()
  await clock.sleep(firstTokenMs, ended)
  while (writer.next()) await clock.sleep(FRAME_MS, ended)
  writer.done()
  while ((await line.hear()) !== undefined);
}
