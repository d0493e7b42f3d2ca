import { commandOf } from './options.ts'
import { planOf, type SimOptions } from './plan.ts'
import type { RealOutcome } from './real.ts'
import type { Outcome } from './simulation.ts'
import type { Violation } from './verdicts.ts'

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const megabytes = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MB`
const count = (items: readonly unknown[], word: string): string => `${items.length} ${word}`

/** Of a failure, so many of the last events. */
const LINES_SHOWN = 40

export function printOutcome(options: SimOptions, outcome: Outcome, isJson: boolean): void {
  const { lines, ...rest } = outcome
  if (isJson) {
    console.log(JSON.stringify({ ...options, command: commandOf(options), ...rest }))
    return
  }
  const { faults, requests, peers } = planOf(options)
  const hostile = peers.filter(({ kind }) => kind === 'hostile')
  const { violations, hash, events, outcomes, tokens, leftovers } = outcome
  console.log(
    `seed ${options.seed}: ${count(peers, 'peers')}, ${hostile.length} of them hostile, ` +
      `${count(faults, 'faults')}, ${count(requests, 'requests')} ` +
      `in ${seconds(outcome.virtualMs)} of virtual time`,
  )
  const ends = Object.entries(outcomes).sort(([, a], [, b]) => b - a)
  console.log(`  ends      ${ends.map(([name, times]) => `${times} ${name}`).join(', ')}`)
  console.log(`  tokens    ${tokens}`)
  console.log(`  at rest   ${leftovers.timersMax} timers, ${leftovers.streamsMax} streams at most`)
  console.log(`  trace     ${hash}, ${events} events`)
  console.log(`  took      ${seconds(outcome.wallMs)}, ${megabytes(outcome.rssBytes)}`)
  if (violations.length === 0) return
  console.log(`\n${lines.slice(-LINES_SHOWN).join('\n')}\n`)
  for (const violation of violations.slice(0, 10)) printViolation(violation)
  if (violations.length > 10) console.log(`  and ${violations.length - 10} more`)
  console.log(`\nAgain: ${commandOf(options)}`)
}

function printViolation({ at, rule, message }: Violation): void {
  console.log(`  broken at ${seconds(at)}: ${rule}: ${message}`)
}

export function printShrunk(options: SimOptions, { rule }: Violation): void {
  const { faults, requests } = planOf(options)
  console.log(`\nThe smallest that was found in which "${rule}" is broken:`)
  for (const fault of faults) console.log(`  ${JSON.stringify(fault)}`)
  for (const { number, at, peer, model } of requests.slice(0, 10)) {
    console.log(`  request ${number} at ${seconds(at)} at peer ${peer} for ${model}`)
  }
  console.log(`  ${commandOf(options)} --stacks`)
}

/** After many stories. */
export function printSummary(stories: number, failed: readonly SimOptions[]): void {
  const seeds = failed.map(({ seed }) => seed).join(', ')
  const verdict = failed.length === 0 ? 'every rule held' : `broken with seed ${seeds}`
  console.log(`\n${stories} stories: ${verdict}`)
}

export function printReal(outcome: RealOutcome, isJson: boolean): void {
  if (isJson) {
    console.log(JSON.stringify(outcome))
    return
  }
  const { peers, answers, violations, wallMs, rssBytes } = outcome
  console.log(`${peers} peers over libp2p: ${answers} answers`)
  console.log(`  took      ${seconds(wallMs)}, ${megabytes(rssBytes)}`)
  for (const violation of violations) printViolation(violation)
}
