import type { Price } from '../../src/simulation.ts'
import { Dice } from './dice.ts'
import { type Fault, planFaults } from './plan-faults.ts'
import { planRequests, type RequestPlan } from './plan-requests.ts'
import { MODELS } from './script.ts'
import type { Speed } from './scripted-engine.ts'

/** What is asked for; everything else follows from it. */
export interface SimOptions {
  seed: number
  peers: number
  /** Of requests and faults, in virtual time; calm follows. */
  minutes: number
  /** Only these faults and requests of the plan, by their numbers. */
  onlyFaults?: readonly number[]
  onlyRequests?: readonly number[]
}

export interface PeerPlan {
  number: number
  roles: readonly string[]
  models: readonly string[]
  price: Price
  region: string
  speed: Speed
  /** How far its wall clock is wrong. */
  skewMs: number
  /** Of another version, or of one that lies. */
  kind: 'usual' | 'older' | 'newer' | 'hostile'
  ip4: string
  /** What it adds to the way of each message, both ways. */
  linkMs: number
  syncMs: number
}

export interface Plan {
  options: SimOptions
  peers: readonly PeerPlan[]
  /** The first peers, which all others know. */
  bootstraps: number
  faults: readonly Fault[]
  requests: readonly RequestPlan[]
  times: Times
}

/** In milliseconds of virtual time. */
export interface Times {
  /** The last peer starts. */
  joined: number
  /** Requests and faults begin. */
  stormFrom: number
  /** The last fault has ended. */
  calmFrom: number
  /** Requests must succeed again. */
  healed: number
  /** The last request has been sent; once nothing is left to be done, all is over. */
  restFrom: number
  /** Logs have had the time to meet. */
  end: number
}

/** How many of all are of which. */
const SHARES = { older: 0.05, newer: 0.05, hostile: 0.1 }
const REGIONS = ['DE', 'FR', 'US', 'JP', 'BR'] as const
const HOUR_MS = 3_600_000

const JOIN_MS = 20_000
const SETTLE_MS = 40_000
/** Back-offs that grew in a minute's fault have ended by then, and what was missed has been asked for. */
const CALM_MS = 210_000
/** By then each breaker, back-off and directory has had its time, and requests must succeed. */
const HEALED_MS = 100_000
const LAST_REQUESTS_MS = 15_000

/** The whole story of a simulation: the same for the same options. */
export function planOf(options: SimOptions): Plan {
  const dice = new Dice(`sim ${options.seed}`)
  const count = options.peers
  const bootstraps = Math.min(count, count < 20 ? 2 : 4)
  const archives = Math.min(count, count < 20 ? 1 : 3)
  const peers = Array.from({ length: count }, (_, number) =>
    planPeer(dice.of(`peer ${number}`), number, {
      isDoor: number < bootstraps,
      isArchive: number >= count - archives,
    }),
  )
  const stormFrom = JOIN_MS + SETTLE_MS
  const calmFrom = stormFrom + options.minutes * 60_000
  const healed = calmFrom + HEALED_MS
  const times = {
    ...{ joined: JOIN_MS, stormFrom, calmFrom, healed, restFrom: healed + LAST_REQUESTS_MS },
    end: calmFrom + CALM_MS,
  }
  const all = { peers, bootstraps, times }
  const faults = planFaults(dice.of('faults'), all)
  const requests = planRequests(dice.of('requests'), all)
  return {
    ...{ options, peers, bootstraps, times },
    faults: chosen(faults, options.onlyFaults),
    requests: chosen(requests, options.onlyRequests),
  }
}

const chosen = <T>(all: readonly T[], only: readonly number[] | undefined): readonly T[] =>
  only === undefined ? all : all.filter((_, at) => only.includes(at))

function planPeer(
  dice: Dice,
  number: number,
  { isDoor, isArchive }: { isDoor: boolean; isArchive: boolean },
): PeerPlan {
  // The first ones serve, so that there is somebody in the smallest network.
  const serves = number < 2 || dice.chance(0.6)
  const isSlow = number >= 2 && dice.chance(0.05)
  const models = serves ? dice.some(MODELS, number < 2 ? MODELS.length : dice.between(1, 2)) : []
  return {
    number,
    roles: ['coordinator', ...(serves ? ['provider'] : []), ...(isArchive ? ['archive'] : [])],
    models,
    price: { input: dice.below(2_000), output: dice.below(5_000) },
    region: dice.pick(REGIONS),
    speed: {
      slots: dice.between(1, 4),
      tokenMs: isSlow ? dice.between(150, 300) : dice.between(5, 60),
      prefillMs: isSlow ? dice.between(1_000, 8_000) : dice.between(5, 300),
    },
    skewMs: dice.chance(0.1) ? dice.between(-HOUR_MS, HOUR_MS) : dice.between(-200, 200),
    ip4: `10.${dice.below(4)}.${Math.floor(number / 250)}.${1 + (number % 250)}`,
    linkMs: isSlow ? dice.between(50, 250) : dice.between(1, 40),
    syncMs: dice.chance(0.05) ? dice.between(20, 200) : dice.between(1, 5),
    kind: isDoor || isArchive ? 'usual' : kindOf(dice),
  }
}

function kindOf(dice: Dice): PeerPlan['kind'] {
  if (dice.chance(SHARES.older)) return 'older'
  if (dice.chance(SHARES.newer)) return 'newer'
  return dice.chance(SHARES.hostile) ? 'hostile' : 'usual'
}
