import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Chunk, Done, Generate } from '../../wire/chunk.ts'
import type { FindDrafting, Guess } from '../../wire/drafter.ts'
import type { Job } from '../../wire/job.ts'
import type { ModelState } from '../engine.ts'
import { cancelledDone } from '../lanes.ts'
import type { Calibration, FromEngine } from './ipc.ts'
import { Run } from './run.ts'
import type { RunMessage, Supervisor } from './supervisor.ts'

export interface LlamaEngineOptions {
  /** How long the process may take to confirm a cancelled run; then we say so ourselves. */
  cancelMs: number
  /** Chunks that wait for a slow reader. A chunk is about 300 bytes: 2.5 MB for a long answer. */
  lagMax: number
  /** The same with the likeliest tokens beside each: up to 4 KB a chunk. */
  lagWithLogprobsMax: number
}

export const defaultLlamaEngine: LlamaEngineOptions = {
  cancelMs: 1000,
  lagMax: 8192,
  lagWithLogprobsMax: 1024,
}

/** Weight of the newest answer in the smoothed rate. */
const RATE_SMOOTHING = 0.2

/** Runs jobs on one model's engine process, and carries them over its restarts where that is safe. */
export class LlamaEngine {
  readonly #supervisor: Supervisor
  readonly #clock: Clock
  readonly #findDrafting: FindDrafting | undefined
  readonly #options: LlamaEngineOptions
  readonly #runs = new Map<number, Run>()
  #lastRun = 0
  #calibration: PromiseWithResolvers<Calibration | undefined> | undefined
  #tokensPerSecond: number | undefined
  #drained: PromiseWithResolvers<void> | undefined
  #stopped = false

  constructor(
    components: { supervisor: Supervisor; clock: Clock; findDrafting?: FindDrafting | undefined },
    options: Partial<LlamaEngineOptions> = {},
  ) {
    this.#supervisor = components.supervisor
    this.#clock = components.clock
    this.#findDrafting = components.findDrafting
    this.#options = { ...defaultLlamaEngine, ...options }
    this.#supervisor.listen({
      onState: (state) => this.#onState(state),
      onMessage: (message) => this.#onMessage(message),
      onLost: () => this.#onLost(),
    })
  }

  /** Decoded tokens a second of one answer, smoothed over the last ones. */
  get tokensPerSecond(): number | undefined {
    return this.#tokensPerSecond
  }

  generate: Generate = (job, { signal }) => this.#generate(job, signal)

  /** Only while the model is ready. Undefined when work came in between, or the process ended. */
  async calibrate(): Promise<Calibration | undefined> {
    this.#calibration ??= Promise.withResolvers()
    this.#supervisor.send({ type: 'calibrate' })
    return await this.#calibration.promise
  }

  /**
   * Gives the process no more work, and resolves once it has ended what it is at: what comes meanwhile waits
   * for the next process.
   */
  async drain(signal: AbortSignal | undefined): Promise<void> {
    this.#drained ??= Promise.withResolvers()
    const { resolve, promise } = this.#drained
    signal?.addEventListener('abort', () => resolve(), { once: true })
    this.#tellDrained()
    await promise
  }

  /** Ends what still runs or waits; the process is its supervisor's. */
  stop(): void {
    this.#stopped = true
    for (const run of this.#runs.values()) this.#end(run, stopping())
  }

  async *#generate(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    if (signal.aborted) {
      yield cancelledDone(job)
      return
    }
    const run = this.#open(job)
    const onAbort = () => this.#cancel(run)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for await (const chunk of run.channel) yield chunk
      if (run.done) yield run.done
    } finally {
      signal.removeEventListener('abort', onAbort)
      // A reader that left without aborting wants nothing more either.
      this.#cancel(run)
    }
  }

  #open(job: Job): Run {
    if (this.#stopped) throw stopping()
    if (this.#supervisor.failure) throw modelFailed(this.#supervisor.failure)
    const others = job.work.kind === 'embedding' ? 0 : (job.work.sampling.logprobs ?? 0)
    const lagMax = others > 0 ? this.#options.lagWithLogprobsMax : this.#options.lagMax
    const run = new Run(++this.#lastRun, job, lagMax)
    this.#runs.set(run.number, run)
    const guess: Guess = (choice, first, ids) => {
      if (run.sent && !run.ended) {
        this.#supervisor.send({ type: 'guessed', run: run.number, choice, first, ids })
      }
    }
    run.drafting = this.#findDrafting?.(job, guess, () => run.drafterLost())
    if (this.#supervisor.state === 'ready' && this.#drained === undefined) this.#send(run)
    return run
  }

  #send(run: Run): void {
    run.sent = true
    const drafter = run.drafting && { drafter: run.drafting.name }
    this.#supervisor.send({ type: 'run', run: run.number, job: run.job, ...drafter })
  }

  #cancel(run: Run): void {
    if (run.ended || run.cancelTimer) return
    if (!run.sent) {
      this.#end(run)
      return
    }
    this.#supervisor.send({ type: 'cancel', run: run.number })
    run.cancelTimer = this.#clock.after(this.#options.cancelMs, () => this.#end(run))
  }

  /** The reader gets what is still to be read, then the error or the last chunk. */
  #end(run: Run, how?: Done | PeerError): void {
    if (run.ended) return
    run.ended = true
    run.cancelTimer?.()
    this.#runs.delete(run.number)
    this.#tellDrained()
    run.draftingEnds(how instanceof PeerError ? undefined : how)
    if (how instanceof PeerError) {
      run.channel.close(how)
    } else {
      run.done = how ?? cancelledDone(run.job, run.inputTokens, run.outputTokens)
      run.channel.close()
    }
  }

  #onState(state: ModelState): void {
    const { failure } = this.#supervisor
    if (state !== 'ready') {
      this.#drained?.resolve()
      this.#drained = undefined
    }
    for (const run of this.#runs.values()) {
      if (failure) this.#end(run, modelFailed(failure))
      else if (state === 'ready' && !run.sent) this.#send(run)
    }
  }

  #tellDrained(): void {
    if ([...this.#runs.values()].every(({ sent }) => !sent)) this.#drained?.resolve()
  }

  #onLost(): void {
    this.#settleCalibration(undefined)
    for (const run of this.#runs.values()) {
      if (!run.sent) continue
      if (run.cancelTimer) {
        this.#end(run)
      } else if (run.delivered || run.retried) {
        this.#end(run, engineFailed())
      } else {
        run.retried = true
        run.sent = false
      }
    }
  }

  #onMessage(message: RunMessage): void {
    switch (message.type) {
      case 'chunks':
        for (const [number, chunk] of message.chunks) this.#onChunk(number, chunk)
        return
      case 'committed':
        this.#runs.get(message.run)?.drafting?.committed(message.choice, message.first, message.ids)
        return
      case 'run-failed':
        this.#onRunFailed(message)
        return
      case 'calibrated':
        this.#settleCalibration(message.result)
        return
      case 'calibration-stopped':
        this.#settleCalibration(undefined)
        return
    }
  }

  #onChunk(number: number, chunk: Chunk): void {
    const run = this.#runs.get(number)
    // What was on its way when we gave the run up.
    if (run === undefined) return
    if (!run.expects(chunk)) {
      this.#supervisor.kill('it sent a chunk that does not belong to the job')
      return
    }
    if (chunk.type === 'done') {
      this.#noteRate(run.tokensPerSecond())
      this.#end(run, chunk)
      return
    }
    if (!run.count(chunk, this.#clock.elapsed())) return
    try {
      run.channel.push(chunk)
    } catch {
      this.#supervisor.send({ type: 'cancel', run: number })
      this.#end(run, readerTooSlow(run.lagMax))
    }
  }

  #onRunFailed(message: Extract<FromEngine, { type: 'run-failed' }>): void {
    const run = this.#runs.get(message.run)
    if (run === undefined) return
    const at = message.param === undefined ? {} : { param: message.param }
    this.#end(run, new PeerError(message.code, message.message, at))
  }

  #noteRate(rate: number | undefined): void {
    if (rate === undefined) return
    const before = this.#tokensPerSecond ?? rate
    this.#tokensPerSecond = before + RATE_SMOOTHING * (rate - before)
  }

  #settleCalibration(result: Calibration | undefined): void {
    this.#calibration?.resolve(result)
    this.#calibration = undefined
  }
}

function stopping(): PeerError {
  return new PeerError(
    'shutting_down',
    'This peer is shutting down. Ask another one, or ask later.',
  )
}

function engineFailed(): PeerError {
  return new PeerError(
    'engine_failed',
    'The engine process stopped while it wrote this answer. Ask again.',
  )
}

export function modelFailed(failure: PeerError): PeerError {
  return new PeerError('model_failed', `This model cannot be served: ${failure.message}`, {
    param: 'model',
    cause: failure,
  })
}

function readerTooSlow(lagMax: number): PeerError {
  return new PeerError(
    'reader_too_slow',
    `This answer was stopped: its reader was more than ${lagMax} chunks behind. ` +
      'Read the stream faster, or ask for a shorter answer.',
  )
}
