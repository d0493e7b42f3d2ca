import { parseArgs } from 'node:util'
import { InvalidError, messageOf } from '../../src/simulation.ts'
import type { SimOptions } from './plan.ts'

export const HELP = `Usage: npm run sim -- [options]

Many peers in one process: the code of the peer, with a network, clocks, disks, chance and models
that are simulated. Faults come by the seed, and rules are watched that must hold whatever happens.
The exit status is 1 where one is broken; then the end of the story is told, and a smaller one is
looked for that fails as well.

  --seed N               the story that is told (1)
  --seeds N              so many stories, from --seed on (1)
  --peers N              peers in it (50)
  --minutes N            of requests and faults, in virtual time (2)
  --only-faults LIST     of the story, by their numbers: 2,5 or none
  --only-requests LIST   likewise
  --twice                tells each story again, and compares what happened
  --no-shrink            looks for no smaller story
  --stacks               says where errors come from; slower
  --json                 prints one line of JSON for each story, and looks for no smaller ones
  --real N               so many peers over libp2p instead, in real time
  --help                 shows this

Examples:
  npm run sim                                  50 peers, two minutes of trouble
  npm run sim -- --seed 7 --peers 20 --twice   a small one, which must go the same way twice
  npm run sim -- --seeds 20 --peers 20         twenty small ones
  npm run sim -- --peers 1000 --minutes 1      a large one; it takes memory and time
  npm run sim -- --real 30                     thirty real ones
`

const known = {
  seed: { type: 'string', default: '1' },
  seeds: { type: 'string', default: '1' },
  peers: { type: 'string', default: '50' },
  minutes: { type: 'string', default: '2' },
  'only-faults': { type: 'string' },
  'only-requests': { type: 'string' },
  twice: { type: 'boolean', default: false },
  shrink: { type: 'boolean', default: true },
  stacks: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  real: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

/** What a command line asks for. */
export interface Order {
  /** One story for each seed. */
  stories: SimOptions[]
  /** Peers over libp2p, instead of all stories. */
  real: number | undefined
  twice: boolean
  shrink: boolean
  stacks: boolean
  json: boolean
  help: boolean
}

/** Throws an InvalidError that says what is wrong with it. */
export function readOrder(args: readonly string[]): Order {
  const { twice, shrink, stacks, json, help, real, ...given } = parsed(args)
  const seed = readNumber('--seed', given.seed, { min: 0, max: 2 ** 31 })
  const seeds = readNumber('--seeds', given.seeds, { min: 1, max: 100_000 })
  const peers = readNumber('--peers', given.peers, { min: 2, max: 5_000 })
  const minutes = Number(given.minutes)
  if (!(minutes >= 0.1 && minutes <= 1_440)) {
    throw new InvalidError('--minutes', '--minutes is a number from 0.1 to 1440.')
  }
  const onlyFaults = readList('--only-faults', given['only-faults'])
  const onlyRequests = readList('--only-requests', given['only-requests'])
  const stories = Array.from({ length: seeds }, (_, at) => ({
    ...{ seed: seed + at, peers, minutes },
    ...(onlyFaults && { onlyFaults }),
    ...(onlyRequests && { onlyRequests }),
  }))
  return {
    ...{ stories, twice, stacks, json, help },
    shrink: shrink && !json,
    real: real === undefined ? undefined : readNumber('--real', real, { min: 2, max: 100 }),
  }
}

/** The command that tells this story again. */
export const commandOf = (options: SimOptions): string =>
  `npm run sim -- ${argsOf(options).join(' ')}`

export function argsOf({ seed, peers, minutes, onlyFaults, onlyRequests }: SimOptions): string[] {
  return [
    ...['--seed', `${seed}`, '--peers', `${peers}`, '--minutes', `${minutes}`],
    ...(onlyFaults ? ['--only-faults', listed(onlyFaults)] : []),
    ...(onlyRequests ? ['--only-requests', listed(onlyRequests)] : []),
  ]
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: known, allowNegative: true }).values
  } catch (error) {
    throw new InvalidError(undefined, messageOf(error))
  }
}

const NONE = 'none'

const listed = (numbers: readonly number[]): string => numbers.join(',') || NONE

function readList(name: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined
  if (text === NONE) return []
  return text.split(',').map((each) => readNumber(name, each, { min: 0, max: 1e9 }))
}

function readNumber(
  name: string,
  text: string,
  { min, max }: { min: number; max: number },
): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new InvalidError(name, `${name} is a whole number from ${min} to ${max}.`)
}
