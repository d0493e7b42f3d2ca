import type { Price } from '../../wire/job.ts'
import type { Measured } from './measurements.ts'

/** A provider that may do a job, and what is known of it with this model. */
export interface Candidate {
  peerId: string
  /** As it says: jobs that it decodes in parallel. */
  slots: number
  /** Jobs that it says it decodes, or that this peer has open there, whichever is more. */
  running: number
  queued: number
  /** As it says; 0 when it does not. */
  tokensPerSecond: number
  price: Price
  /** What the job would cost there at most. */
  credits: number
  rttMs: number | undefined
  /** Undefined for a newcomer. */
  measured: Measured | undefined
  /** Jobs of this peer are open there, and so long nothing came of any. */
  quietMs: number
  /** This peer has a job open there. */
  busyWithUs: boolean
  /** It may be out of reach, as others are that were asked. */
  inDoubt: boolean
  /** It failed lately, and its breaker is open. */
  shunned: boolean
  /** It served this account with this model last: it may still have the prompt in its cache. */
  familiar: boolean
}

export interface Ranked {
  candidate: Candidate
  standing: Standing
  /** Expected milliseconds of a short answer, with what else counts; the lower the better. */
  score: number
}

/**
 * In this order. Proven providers go first: what others say of themselves costs nothing. One that is
 * busy waits behind everybody who could begin at once; one that failed lately is the last resort.
 */
export const standings = [
  'proven',
  'newcomer',
  'busy',
  'busy newcomer',
  'in doubt',
  'failed lately',
] as const
export type Standing = (typeof standings)[number]

/** Tokens of an answer that is neither long nor short. */
const OUTPUT_TOKENS = 200
/** Believed of a provider that was never measured, on top of the way there and back. */
const CLAIMED_FIRST_TOKEN_MS = 500
/** Connection, stream and job each take one. */
const ROUND_TRIPS = 3
const UNKNOWN_RTT_MS = 100
/** What a peer says of its own speed is taken for half as much. */
const CLAIM_DISCOUNT = 2
const UNKNOWN_MS_PER_TOKEN = 100
/** Whatever a peer says: nobody writes a thousand tokens a second, or serves with one in ten. */
const CLAIMED_MS_MIN = 1
const CLAIMED_MS_MAX = 10_000
const UNKNOWN_JOB_MS = 5_000
/**
 * What the loss of a job counts. Silence alone takes 3 s to be sure of, and of twenty answers a
 * client remembers the one that hung: who is a little faster is not worth that.
 */
const LOSS_MS = 30_000
/** Between two tokens, or before the first one, beside the usual time for that. */
const QUIET_MS_MIN = 250
const QUIET_FACTOR = 2
/** The dearest candidate is as good as one that takes a tenth longer and costs nothing. */
const PRICE_WEIGHT = 0.1
/** What reading the prompt from a cache is worth, before that is measured. */
const FAMILIAR_FACTOR = 0.7

/** The best first; equals stay in the order in which they came. */
export function rank(candidates: readonly Candidate[], outputTokens = OUTPUT_TOKENS): Ranked[] {
  const dearest = candidates.reduce((most, { credits }) => Math.max(most, credits), 0)
  const tokens = Math.min(outputTokens, OUTPUT_TOKENS)
  return candidates
    .map((candidate) => {
      const standing = standingOf(candidate)
      return { candidate, standing, score: scoreOf(candidate, standing, tokens, dearest) }
    })
    .sort(
      (a, b) => standings.indexOf(a.standing) - standings.indexOf(b.standing) || a.score - b.score,
    )
}

/** Those that could be tried once in a while although another is better: they can begin at once. */
export function challengers(ranked: readonly Ranked[]): Ranked[] {
  return ranked.slice(1).filter(({ standing }) => standing === 'proven' || standing === 'newcomer')
}

/** It did jobs before, and may do this one, perhaps after others. */
export const isKnown = ({ standing }: Ranked): boolean =>
  standing === 'proven' || standing === 'busy'

/** It could begin at once. */
export function isFree({
  slots,
  running,
  queued,
}: Pick<Candidate, 'slots' | 'running' | 'queued'>): boolean {
  return queued === 0 && running < slots
}

function standingOf(candidate: Candidate): Standing {
  if (candidate.shunned) return 'failed lately'
  if (candidate.measured !== undefined) {
    return isFree(candidate) && !isStuck(candidate) ? 'proven' : 'busy'
  }
  // Strangers that talk much do not come before the proven because two of them fell silent.
  if (candidate.inDoubt) return 'in doubt'
  // A newcomer gets one job at a time until the first has come back.
  return isFree(candidate) && !candidate.busyWithUs ? 'newcomer' : 'busy newcomer'
}

/** Nothing comes of what it has to do, for longer than it takes to begin: more would wait as well. */
function isStuck({ measured, quietMs }: Candidate): boolean {
  return measured !== undefined && quietMs > QUIET_MS_MIN + QUIET_FACTOR * measured.firstTokenMs
}

function scoreOf(
  candidate: Candidate,
  standing: Standing,
  outputTokens: number,
  dearest: number,
): number {
  const { measured, credits } = candidate
  const cost = dearest === 0 ? 1 : 1 + (PRICE_WEIGHT * credits) / dearest
  // Never a reason to wait in its queue.
  const familiar = candidate.familiar && standing === 'proven' ? FAMILIAR_FACTOR : 1
  const ms = firstTokenMs(candidate) + waitMs(candidate) + outputTokens * msPerToken(candidate)
  const failureRate = measured?.failureRate ?? 0
  const doubt = candidate.inDoubt ? LOSS_MS : 0
  return ms * (1 + failureRate) * cost * familiar + failureRate * LOSS_MS + doubt
}

function firstTokenMs({ measured, rttMs, quietMs }: Candidate): number {
  const ms =
    measured?.firstTokenMs ?? CLAIMED_FIRST_TOKEN_MS + ROUND_TRIPS * (rttMs ?? UNKNOWN_RTT_MS)
  // The next one will hardly be answered before those that wait.
  return Math.max(ms, quietMs)
}

/** Answers that are decoded side by side slow each other down. */
function msPerToken({ measured, tokensPerSecond, slots, running }: Candidate): number {
  return (measured?.msPerToken ?? claimedMs(tokensPerSecond)) * (1 + running / slots)
}

function claimedMs(tokensPerSecond: number): number {
  if (!(tokensPerSecond > 0)) return UNKNOWN_MS_PER_TOKEN
  const ms = (CLAIM_DISCOUNT * 1000) / tokensPerSecond
  return Math.min(CLAIMED_MS_MAX, Math.max(CLAIMED_MS_MIN, ms))
}

/** Until a slot is free, if none is. */
function waitMs({ measured, slots, running, queued }: Candidate): number {
  const ahead = Math.max(0, running + queued - slots + 1)
  return (ahead * (measured?.jobMs ?? UNKNOWN_JOB_MS)) / slots
}

/** Why it stands where it does, for people. */
export function reasonsOf({ candidate, standing }: Ranked): string[] {
  const { measured, rttMs, slots, running, queued, price, credits } = candidate
  const speed = `${(1000 / msPerToken({ ...candidate, running: 0 })).toFixed(1)} tokens/s`
  const known = measured?.msPerToken === undefined ? 'claimed' : 'measured'
  return [
    standing,
    measured === undefined
      ? `first token not measured${rttMs === undefined ? '' : `, ${Math.round(rttMs)} ms away`}`
      : `first token ${Math.round(measured.firstTokenMs)} ms`,
    `${speed} ${known}`,
    `${Math.max(0, slots - running)} of ${slots} slots free${queued > 0 ? `, ${queued} wait` : ''}`,
    ...(credits > 0 ? [`price ${price.input}/${price.output}`] : []),
    ...(measured !== undefined && measured.failureRate > 0.01
      ? [`lost ${Math.round(100 * measured.failureRate)} % of its jobs`]
      : []),
    ...(candidate.familiar ? ['had the last request of this account'] : []),
  ]
}
