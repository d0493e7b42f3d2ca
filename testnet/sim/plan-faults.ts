import type { Dice } from './dice.ts'
import type { Plan } from './plan.ts'

/** What goes wrong, from `at` on for `ms`. */
export type Fault = { at: number; ms: number } & (
  | { kind: 'kill' | 'unplug' | 'leave'; peers: readonly number[]; isForGood: boolean }
  /** The next one that gives a client the end of its answer is gone right after. */
  | { kind: 'unplug-at-end' }
  /** The next provider that begins an answer is gone, or stands still, in the midst of it. */
  | { kind: 'at-work'; how: 'kill' | 'unplug' | 'freeze'; afterMs: number }
  | { kind: 'freeze'; peers: readonly number[] }
  /** Nothing passes between the two sides, or from the first to the second. */
  | { kind: 'partition'; peers: readonly number[]; isOneWay: boolean }
  /** The cable of a peer is pulled and put back again and again. */
  | { kind: 'flap'; peers: readonly number[]; everyMs: number }
  /** A part of the packets is lost, and sent again. */
  | { kind: 'loss'; share: number }
  | { kind: 'delay'; peers: readonly number[]; extraMs: number }
  | { kind: 'clock'; peers: readonly number[]; skewMs: number }
  | { kind: 'slow-disk'; peers: readonly number[]; syncMs: number }
  | { kind: 'broken-engine'; peers: readonly number[] }
)

type World = Pick<Plan, 'peers' | 'bootstraps' | 'times'>

/** A small network is to have its faults as well. */
const PEERS_MIN = 50

/** How often within a minute, for each 100 peers. */
const RATES: readonly [rate: number, draw: (dice: Dice, world: World) => Drawn][] = [
  [3, (dice, world) => ended(dice, 'kill', [anyOf(dice, world)])],
  [1.5, (dice, world) => ended(dice, 'unplug', [anyOf(dice, world)])],
  [1.5, (dice, world) => ended(dice, 'leave', [anyOf(dice, world)])],
  [
    3,
    (dice, world) => ({
      kind: 'freeze',
      peers: [anyOf(dice, world)],
      ms: dice.between(500, 40_000),
    }),
  ],
  [3, (dice) => ({ kind: 'unplug-at-end', ms: dice.between(5_000, 40_000) })],
  [4, atWork],
  [1.5, flapping],
  [
    1,
    (dice, world) => ({
      kind: 'clock',
      peers: [anyOf(dice, world)],
      ms: 30_000,
      skewMs: dice.between(-3_600_000, 3_600_000),
    }),
  ],
  [
    1,
    (dice, world) => ({
      kind: 'slow-disk',
      peers: [anyOf(dice, world)],
      ms: dice.between(2_000, 30_000),
      syncMs: dice.between(100, 3_000),
    }),
  ],
  [
    1.5,
    (dice, world) => ({
      kind: 'broken-engine',
      peers: [anyOf(dice, world)],
      ms: dice.between(2_000, 30_000),
    }),
  ],
]

/** Likewise, whatever the size of the network. */
const WIDE_RATES: readonly [rate: number, draw: (dice: Dice, world: World) => Drawn][] = [
  [0.7, partition],
  [
    0.5,
    (dice) => ({ kind: 'loss', ms: dice.between(5_000, 40_000), share: dice.between(1, 20) / 100 }),
  ],
  [
    0.5,
    (dice, world) => ({
      kind: 'delay',
      peers: someOf(dice, world, 0.3),
      ms: dice.between(5_000, 40_000),
      extraMs: dice.between(50, 800),
    }),
  ],
  [
    0.15,
    (dice, { bootstraps }) => ({
      ...restart('kill', firstOf(bootstraps)),
      ms: dice.between(10_000, 40_000),
    }),
  ],
  [
    0.15,
    (dice, world) => ({
      ...restart('kill', someOf(dice, world, 0.5)),
      ms: dice.between(500, 8_000),
    }),
  ],
]

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never
type Drawn = WithoutTime<Fault>

/** In the order of their beginnings; all have ended before the calm. */
export function planFaults(dice: Dice, world: World): Fault[] {
  const { stormFrom, calmFrom } = world.times
  const minutes = (calmFrom - stormFrom) / 60_000
  const faults: Fault[] = []
  const add = (rates: typeof RATES, times: number) => {
    for (const [rate, draw] of rates) {
      const wanted = rate * times
      const count = Math.floor(wanted) + (dice.chance(wanted % 1) ? 1 : 0)
      for (let made = 0; made < count; made++) {
        const fault = draw(dice, world)
        const at = dice.between(stormFrom, Math.max(stormFrom, calmFrom - fault.ms))
        faults.push({ ...fault, at, ms: Math.min(fault.ms, calmFrom - at) })
      }
    }
  }
  add(RATES, (minutes * Math.max(PEERS_MIN, world.peers.length)) / 100)
  add(WIDE_RATES, minutes)
  return faults.sort((a, b) => a.at - b.at)
}

const anyOf = (dice: Dice, { peers }: World): number => dice.below(peers.length)

const firstOf = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

const someOf = (dice: Dice, { peers }: World, share: number): number[] =>
  dice.some(firstOf(peers.length), Math.max(1, Math.floor(peers.length * share)))

const restart = (kind: 'kill', peers: readonly number[]) => ({ kind, peers, isForGood: false })

/** One in five never comes back. */
function ended(dice: Dice, kind: 'kill' | 'unplug' | 'leave', peers: readonly number[]): Drawn {
  return { kind, peers, ms: dice.between(200, 60_000), isForGood: dice.chance(0.2) }
}

function atWork(dice: Dice): Drawn {
  const how = dice.pick(['kill', 'unplug', 'freeze'] as const)
  return { kind: 'at-work', how, ms: dice.between(5_000, 40_000), afterMs: dice.below(500) }
}

function flapping(dice: Dice, world: World): Drawn {
  const peers = [anyOf(dice, world)]
  return {
    kind: 'flap',
    peers,
    ms: dice.between(10_000, 60_000),
    everyMs: dice.between(500, 10_000),
  }
}

function partition(dice: Dice, world: World): Drawn {
  const peers = someOf(dice, world, dice.between(5, 50) / 100)
  return { kind: 'partition', peers, ms: dice.between(2_000, 60_000), isOneWay: dice.chance(0.3) }
}
