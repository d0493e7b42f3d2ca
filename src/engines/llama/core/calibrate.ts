import type { Clock } from '../../../base/clock.ts'
import type { BatchTime, Calibration } from '../ipc.ts'
import type { NativeContext, NativeSampler } from './binding.ts'
import type { Sequence } from './sequence-pool.ts'

export interface CalibrateComponents {
  context: NativeContext
  newSampler: () => NativeSampler
  clock: Clock
  /** Nobody else may drive the context meanwhile. */
  sequences: readonly Sequence[]
}

export interface CalibrateOptions {
  /** In the order they are tried; at equal speed the first is taken. */
  threads: readonly number[]
  /** With these it is run whatever is faster; only what guesses cost is to be found out. */
  fixed?: { slots: number; threads: number } | undefined
  contextLength: number
  /** A sequence can be cut, so that what it holds stays. */
  trims: boolean
}

const PARALLEL = [1, 2, 4, 8]
/** Tokens of one answer in a decode: its next, and guesses behind that. */
const BATCHES = [1, 2, 3, 4, 6, 8, 12, 17]
/** One measurement: long enough to mean something, short enough for a dozen in a few seconds. */
const MEASURE_MS = 300
/** Decodes differ less than rates: nothing is drawn between them. */
const BATCH_MEASURE_MS = 50
const STEPS_MIN = 3
const STEPS_MAX = 64
/** A slow model gets no further than this, and is judged by what was measured until then. */
const LIMIT_MS = 20_000
/** Differences below this are noise on a machine that also does other things. */
const NOISE = 0.1

interface Measured {
  threads: number
  parallel: number
  tokensPerSecond: number
}

/** Finds the fastest threads with one answer, then how many answers side by side give most in all. */
export async function calibrate(
  components: CalibrateComponents,
  options: CalibrateOptions,
  signal: AbortSignal,
): Promise<Calibration | undefined> {
  const until = components.clock.elapsed() + LIMIT_MS
  const found = options.fixed ?? (await fastest(components, options, until, signal))
  const batchTimes = await batchCosts(components, { ...options, ...found }, until, signal)
  return signal.aborted ? undefined : { measured: [], ...found, batchTimes }
}

type Found = Omit<Calibration, 'batchTimes'>

async function fastest(
  components: CalibrateComponents,
  options: CalibrateOptions,
  until: number,
  signal: AbortSignal,
): Promise<Found> {
  const { context, clock, sequences } = components
  const measured: Measured[] = []
  const measure = async (threads: number, parallel: number) => {
    if (signal.aborted || (clock.elapsed() > until && measured.length > 0)) return
    context.setThreads(threads)
    const tokensPerSecond = await decodeRate(components, options, parallel, signal)
    if (!signal.aborted) measured.push({ threads, parallel, tokensPerSecond })
  }
  for (const threads of options.threads) await measure(threads, 1)
  const { threads } = best(measured) ?? { threads: 1 }
  for (const parallel of PARALLEL.slice(1)) {
    if (parallel <= sequences.length) await measure(threads, parallel)
  }
  const atThreads = measured.filter((it) => it.threads === threads)
  // Reversed: where more answers side by side cost nothing, more of them is better.
  return { slots: best(atThreads.toReversed())?.parallel ?? 1, threads, measured }
}

async function batchCosts(
  components: CalibrateComponents,
  options: Omit<CalibrateOptions, 'threads'> & { threads: number },
  until: number,
  signal: AbortSignal,
): Promise<BatchTime[]> {
  const { context, clock } = components
  context.setThreads(options.threads)
  const batchTimes: BatchTime[] = []
  for (const tokens of options.trims ? BATCHES : []) {
    if (clock.elapsed() > until) break
    const ms = await decodeMs(components, options, tokens, signal)
    if (ms > 0) batchTimes.push({ tokens, ms })
  }
  return batchTimes
}

/** The first that nothing beats by more than noise. */
function best(measured: readonly Measured[]): Measured | undefined {
  const most = Math.max(...measured.map(({ tokensPerSecond }) => tokensPerSecond))
  return measured.find(({ tokensPerSecond }) => tokensPerSecond >= most * (1 - NOISE))
}

/** Tokens a second of `parallel` answers in all, written behind what the sequences hold. */
async function decodeRate(
  { context, newSampler, clock, sequences }: CalibrateComponents,
  { contextLength, trims }: CalibrateOptions,
  parallel: number,
  signal: AbortSignal,
): Promise<number> {
  const used = sequences.slice(0, parallel)
  for (const sequence of used) {
    if (sequence.length === 0 || (trims && sequence.length + STEPS_MAX < contextLength)) continue
    context.disposeSequence(sequence.index)
    sequence.length = 0
  }
  const samplers = used.map(() => newSampler())
  for (const sampler of samplers) sampler.applyConfig({})
  const token = Uint32Array.of(0)
  const logit = Uint32Array.of(0)
  let steps = -1
  let started = 0
  let ms = 0
  try {
    // The first step warms up and is not counted.
    while (steps < STEPS_MIN || (ms < MEASURE_MS && steps < STEPS_MAX - 1)) {
      context.initBatch(parallel)
      const indexes = used.map(({ index, length }) =>
        context.addToBatch(index, length + steps + 1, token, logit),
      )
      await context.decodeBatch()
      const drawn = await Promise.allSettled(
        samplers.map((sampler, at) => context.sampleToken(indexes[at]?.[0] ?? 0, sampler)),
      )
      // Only once none is in a draw any more may the samplers be given back.
      for (const draw of drawn) if (draw.status === 'rejected') throw draw.reason
      if (signal.aborted) break
      if (++steps === 0) started = clock.elapsed()
      ms = clock.elapsed() - started
    }
  } finally {
    for (const { index, length } of used) {
      if (length === 0) context.disposeSequence(index)
      else context.removeTokenCellsFromSequence(index, length, -1)
    }
    for (const sampler of samplers) sampler.dispose()
  }
  return ms > 0 ? (steps * parallel * 1000) / ms : 0
}

/** How long a decode of so many tokens of one answer takes, behind what its sequence holds; 0: unknown. */
async function decodeMs(
  { context, clock, sequences: [sequence] }: CalibrateComponents,
  { contextLength }: Pick<CalibrateOptions, 'contextLength'>,
  count: number,
  signal: AbortSignal,
): Promise<number> {
  if (sequence === undefined || count >= contextLength) return 0
  const { index } = sequence
  if (sequence.length + count >= contextLength) {
    context.disposeSequence(index)
    sequence.length = 0
  }
  const tokens = new Uint32Array(count)
  const all = Uint32Array.from({ length: count }, (_, at) => at)
  const taken: number[] = []
  let ms = 0
  while (!signal.aborted && (taken.length <= STEPS_MIN || ms < BATCH_MEASURE_MS)) {
    context.initBatch(count)
    context.addToBatch(index, sequence.length, tokens, all)
    const started = clock.elapsed()
    try {
      await context.decodeBatch()
    } finally {
      if (sequence.length === 0) context.disposeSequence(index)
      else context.removeTokenCellsFromSequence(index, sequence.length, -1)
    }
    taken.push(clock.elapsed() - started)
    ms += taken.at(-1) ?? 0
    if (taken.length >= STEPS_MAX) break
  }
  // The first warms up; of the others the middle one: what came in between made some of them longer.
  const counted = taken.slice(1).toSorted((a, b) => a - b)
  return counted[counted.length >> 1] ?? 0
}
