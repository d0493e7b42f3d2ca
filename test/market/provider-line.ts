import type { Clock } from '../../src/base/clock.ts'
import { finishesOf } from '../../src/engines/lanes.ts'
import type { Identity } from '../../src/identity/identity.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import type { FrameStream } from '../../src/network/network.ts'
import { WorkRecord } from '../../src/receipts/issue.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import type { Finish } from '../../src/wire/chunk.ts'
import type { FromProvider, Resume, ToProvider, WireJob } from '../../src/wire/generate.ts'
import { decodeToProvider, encodeFromProvider, openJob } from '../../src/wire/generate-codec.ts'
import type { Work } from '../../src/wire/job.ts'
import { openBody, openResumes } from '../../src/wire/job-body.ts'
import { publicKeyOf } from '../../src/wire/peer-id.ts'

const { signal } = new AbortController()
const verify = createVerifyNative()

export interface LineParts {
  identity: Identity
  clock: Clock
  /** The network's name. */
  network: string
}

/** Opens lines: reads the job of each stream, up to the end of its body. */
export function lineOpener({ identity, clock, network }: LineParts) {
  const live = new LiveReceipts({ clock })
  const { peerId } = identity
  return async (stream: FrameStream): Promise<Line> => {
    const next = async () => decodeToProvider((await stream.read({ signal })) ?? new Uint8Array())
    const first = await next()
    if (first?.type !== 'job') throw new Error('the first frame is no job')
    const job = openJob(first.job, {
      network,
      verify,
      coordinator: stream.peerId,
      provider: peerId,
    })
    const parts: Uint8Array[] = []
    for (let bytes = 0; bytes < job.bodyBytes + job.resumeBytes; ) {
      const part = await next()
      if (part?.type !== 'body') throw new Error('no body')
      bytes += part.bytes.length
      parts.push(part.bytes)
    }
    const all = Buffer.concat(parts)
    const work = openBody(job, all.subarray(0, job.bodyBytes))
    const resumes = openResumes(job, all.subarray(job.bodyBytes))
    const { jobId, promptRoot, model: id } = job
    const commission = {
      ...{ jobId, work, promptRoot: () => promptRoot, price: { input: 0, output: 0 } },
      coordinator: publicKeyOf(job.coordinator),
      model: { id, name: 'net-chat' },
    }
    const record = new WorkRecord({ identity, clock, live }, commission)
    return new Line(job, { work, record, resumes }, stream)
  }
}

/** What a scripted provider sees and says of one job, which it signs unless the test does. */
export class Line {
  readonly job: WireJob
  readonly work: Work
  /** What the client has already. */
  readonly resumes: readonly Resume[]
  readonly stream: FrameStream
  /** Frames that came after the job. */
  readonly heard: ToProvider[] = []
  /** False: it signs nothing. */
  signs = true
  readonly #record: WorkRecord

  constructor(
    job: WireJob,
    { work, record, resumes }: { work: Work; record: WorkRecord; resumes: readonly Resume[] },
    stream: FrameStream,
  ) {
    this.job = job
    this.work = work
    this.resumes = resumes
    this.#record = record
    this.stream = stream
  }

  /** Where a choice goes on. */
  from(choice = 0): number {
    return this.resumes.find((each) => each.choice === choice)?.ids.length ?? 0
  }

  say(...frames: FromProvider[]): void {
    for (const frame of frames) {
      this.stream.write(encodeFromProvider(this.signs ? this.signed(frame) : frame))
    }
  }

  /** With the segment behind them, where one is due. */
  sayTokens(frame: FromProvider): void {
    if (frame.type !== 'tokens') throw new TypeError('no tokens')
    const segment = this.#record.tokens(frame)
    this.stream.write(encodeFromProvider(frame))
    if (segment !== undefined) this.say({ type: 'segment', ...segment })
  }

  /** What an honest provider says in its place. */
  signed(frame: FromProvider): FromProvider {
    switch (frame.type) {
      case 'accept': {
        const openSignature = this.#record.open(frame.inputTokens).signature
        if (this.resumes.length === 0 || frame.resumedAt.length > 0) {
          return { ...frame, openSignature }
        }
        const resumedAt = Array.from({ length: finishesOf(this.work) }, (_, at) => this.from(at))
        return { ...frame, openSignature, resumedAt }
      }
      case 'progress':
        this.#record.counted(frame.inputTokens)
        return frame
      case 'tokens':
        // Some tests say what no answer has.
        if (this.#hasChoice(frame.choice)) this.#record.tokens(frame)
        return frame
      case 'vectors': {
        const vectors: Float32Array[] = []
        for (let at = 0; at < frame.values.length; at += frame.length) {
          vectors.push(frame.values.subarray(at, at + frame.length))
        }
        this.#record.vectors({ first: frame.first, vectors })
        return frame
      }
      case 'done': {
        if (frame.receipt !== undefined) return frame
        const cancel = this.heard.find(({ type }) => type === 'cancel')
        const received = cancel?.type === 'cancel' ? cancel.received : undefined
        const finish = frame.finish.filter((each): each is Finish => each !== 'unknown')
        const issued = this.#record.sealed({ type: 'done', finish, usage: frame.usage }, received)
        if (issued === undefined) return frame
        return { ...frame, receipt: issued.receipt, entry: issued.execution.bytes }
      }
      default:
        return frame
    }
  }

  #hasChoice(choice: number): boolean {
    return choice < finishesOf(this.work)
  }

  /** Undefined when the coordinator has ended its part. */
  async hear(): Promise<ToProvider | undefined> {
    const bytes = await this.stream.read({ signal })
    const frame = bytes && decodeToProvider(bytes)
    if (frame !== undefined) this.heard.push(frame)
    return frame
  }
}
