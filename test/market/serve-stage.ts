import { createHash } from 'node:crypto'
import { Channel } from '../../src/base/channel.ts'
import { type LogData, type Logger, silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { systemRandom } from '../../src/base/random.ts'
import { scheduled } from '../../src/engines/scheduler.ts'
import { type Identity, identityFromSeed } from '../../src/identity/identity.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { Provider, type ProviderOptions } from '../../src/market/serve/provider.ts'
import { memoryHub } from '../../src/network/memory/memory-hub.ts'
import type { FrameStream } from '../../src/network/network.ts'
import type { Backend } from '../../src/storage/backend.ts'
import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import type { FromProvider, Resume, ToProvider, WireJob } from '../../src/wire/generate.ts'
import {
  decodeFromProvider,
  encodeToProvider,
  PIECE_BYTES_MAX,
  signJob,
} from '../../src/wire/generate-codec.ts'
import type { Sampling, Work } from '../../src/wire/job.ts'
import { packBody, packResumes } from '../../src/wire/job-body.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import { ScriptedEngine } from '../api/scripted-engine.ts'
import { FakeClock, settled, skewed } from '../base/fake-clock.ts'
import { proofStage } from '../receipts/stage.ts'

export const NETWORK = 'test'
export const signal = new AbortController().signal

export const modelId = (name: string) => cidModelId(createHash('sha256').update(name).digest())

export const sampling: Sampling = {
  temperature: 0,
  topP: 1,
  seed: 7,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

export const chat = (content = 'hello', more: Partial<Sampling> = {}): Work => ({
  kind: 'chat',
  messages: [{ role: 'user', content }],
  sampling: { ...sampling, ...more },
})

export interface StageOptions extends Partial<ProviderOptions> {
  /** Puts the queue of the real engine before the scripted one. */
  slots?: number
  /** In place of the scripted engine. */
  generate?: Generate
  /** How far its wall clock is off. */
  skewMs?: number
  backend?: Backend
}

/** A provider with a scripted engine in a network of memory, and coordinators that ask it. */
export async function stage({
  slots,
  generate,
  skewMs = 0,
  backend,
  ...options
}: StageOptions = {}) {
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const engine = new ScriptedEngine()
  const identity = identityFromSeed(new Uint8Array(32).fill(1))
  const network = hub.network(identity.peerId)
  const logged: { message: string; data: LogData | undefined }[] = []
  const logger: Logger = {
    ...silentLogger,
    error: (message, data) => logged.push({ message, data }),
    child: () => logger,
  }
  const queued = slots === undefined ? undefined : scheduled(engine.generate, { clock }, { slots })
  const outcomes: string[] = []
  const proof = await proofStage({
    ...{ clock, identity, network: NETWORK },
    ...(backend && { backend }),
  })
  const provider = new Provider(
    {
      ...proof,
      network,
      engine: {
        status: () => engine.status().map((model) => ({ ...model, id: modelId(model.name) })),
        generate: generate ?? queued ?? engine.generate,
      },
      identity,
      verify: createVerifyNative(),
      clock: skewed(clock, skewMs),
      logger,
      metrics: {
        ...noMetrics,
        counter: () => ({ add: (_, labels) => labels?.outcome && outcomes.push(labels.outcome) }),
      },
    },
    { network: NETWORK, price: { input: 10, output: 20 }, region: 'DE', drainMs: 5000, ...options },
  )
  await provider.start()
  await network.start({ signal })
  return {
    clock,
    hub,
    network,
    engine,
    provider,
    proof,
    logged,
    /** How jobs ended, in order. */
    outcomes,
    faults: () => hub.faults.map(({ peerId, action, reason }) => ({ peerId, action, reason })),
    async coordinator(seed = 2): Promise<Coordinator> {
      const own = identityFromSeed(new Uint8Array(32).fill(seed))
      const side = hub.network(own.peerId)
      await side.start({ signal })
      await side.connect(identity.peerId, network.status().addrs, { signal })
      const open = () => side.open(identity.peerId, 'generate/1', { signal })
      return new Coordinator({ identity: own, provider: identity.peerId, open })
    },
  }
}

interface CoordinatorParts {
  identity: Identity
  provider: string
  open: () => Promise<FrameStream>
}

export interface Ask extends Partial<WireJob> {
  work?: Work
  resume?: Resume[]
  /** In place of its own. */
  signer?: Identity
  /** Sends no more than so many frames of the body. */
  pieces?: number
  /** Sent in place of the body. */
  body?: Uint8Array
  /** Reads nothing until `line.listen()`. */
  deaf?: boolean
}

let jobs = 0

/** A peer that sends jobs, and does with the answers what the test says. */
export class Coordinator {
  readonly identity: Identity
  readonly peerId: string
  /** Whom it asks. */
  readonly provider: string
  readonly #parts: CoordinatorParts

  constructor(parts: CoordinatorParts) {
    this.#parts = parts
    this.identity = parts.identity
    this.peerId = parts.identity.peerId
    this.provider = parts.provider
  }

  /** A stream on which nothing was said yet. */
  async line(deaf = false): Promise<Line> {
    const line = new Line(await this.#parts.open())
    if (!deaf) line.listen()
    return line
  }

  async ask(ask: Ask = {}): Promise<Line> {
    const { work = chat(), resume = [], signer, pieces, body, deaf, ...more } = ask
    const { bytes, fields } = packBody(work, systemRandom.bytes(32))
    const resumes = packResumes(resume)
    const wire: WireJob = {
      jobId: `job_${++jobs}.1`,
      provider: this.#parts.provider,
      coordinator: this.peerId,
      expiresInMs: 60_000,
      model: modelId('test-chat'),
      sampler: '',
      firstTokenMs: 60_000,
      totalMs: 600_000,
      verification: 'none',
      jurisdiction: '',
      publish: 'receipts',
      receiptPrivacy: 'plain',
      cacheScope: new Uint8Array(32).fill(9),
      provisional: false,
      drafters: [],
      attempt: 1,
      ...resumes.fields,
      ...fields,
      ...more,
    }
    const line = await this.line(deaf)
    const sign = (message: Uint8Array) => (signer ?? this.identity).sign(message)
    line.send({ type: 'job', job: signJob(wire, { network: NETWORK, sign }) })
    line.rest = body ?? Buffer.concat([bytes, resumes.bytes])
    line.sendBody(pieces)
    await settled()
    return line
  }

  /** One job from end to end, with its Ack; `false`: it was refused. */
  async finish(ask: Ask = {}): Promise<boolean> {
    const line = await this.ask(ask)
    if (!line.has('done')) return false
    await line.ack()
    return true
  }
}

type Of<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

/** The coordinator's end of one stream. */
export class Line {
  readonly stream: FrameStream
  readonly frames: FromProvider[] = []
  readonly sizes: number[] = []
  /** Of the body; not sent yet. */
  rest: Uint8Array = new Uint8Array()
  /** The provider has ended its part. */
  closed = false

  constructor(stream: FrameStream) {
    this.stream = stream
  }

  listen(): void {
    void this.#listen().catch(() => {})
  }

  async #listen(): Promise<void> {
    for (;;) {
      const bytes = await this.stream.read({ signal })
      if (bytes === undefined) break
      const frame = decodeFromProvider(bytes)
      if (frame === undefined) throw new Error('a frame of no known type')
      this.frames.push(frame)
      this.sizes.push(bytes.length)
    }
    this.closed = true
    await this.stream.close()
  }

  send(frame: ToProvider): void {
    this.stream.write(encodeToProvider(frame))
  }

  sendBody(pieces = Number.POSITIVE_INFINITY): void {
    for (let piece = 0; piece < pieces && this.rest.length > 0; piece++) {
      this.send({ type: 'body', bytes: this.rest.slice(0, PIECE_BYTES_MAX) })
      this.rest = this.rest.slice(PIECE_BYTES_MAX)
    }
  }

  async cancel(...received: number[]): Promise<void> {
    this.send({ type: 'cancel', received })
    await settled()
  }

  async ack(dispute = ''): Promise<void> {
    this.send({ type: 'ack', entry: new Uint8Array(), dispute })
    await settled()
  }

  async reset(): Promise<void> {
    this.stream.reset(new Error('the test has left'))
    await settled()
  }

  types(): string[] {
    return this.frames.map(({ type }) => type)
  }

  has(type: FromProvider['type']): boolean {
    return this.all(type).length > 0
  }

  all<T extends FromProvider['type']>(type: T): Of<T>[] {
    return this.frames.filter((frame): frame is Of<T> => frame.type === type)
  }

  /** The last frame of this type. */
  last<T extends FromProvider['type']>(type: T): Of<T> {
    const frame = this.all(type).at(-1)
    if (frame === undefined) throw new Error(`no ${type} among: ${this.types().join(' ')}`)
    return frame
  }

  text(choice = 0): string {
    const frames = this.all('tokens').filter((frame) => frame.choice === choice)
    return frames.map(({ text }) => text).join('')
  }
}

/** An engine of which the test is the hand. */
export class HandEngine {
  readonly chunks = new Channel<Chunk>(100_000)
  aborted = false
  #tokens = 0

  readonly script = async function* (this: HandEngine, _job: unknown, signal: AbortSignal) {
    signal.addEventListener('abort', () => {
      this.aborted = true
      this.chunks.close()
    })
    yield* this.chunks
    if (!signal.aborted) return
    const usage = { inputTokens: 3, cachedTokens: 1, outputTokens: this.#tokens }
    yield { type: 'done', finish: ['cancelled'], usage } satisfies Chunk
  }.bind(this)

  accept(inputTokens = 3): void {
    this.chunks.push({ type: 'accepted', inputTokens })
  }

  say(text: string, choice = 0): void {
    const index = this.#tokens++
    this.chunks.push({ type: 'tokens', choice, index, ids: [index], text })
  }

  end(): void {
    const usage = { inputTokens: 3, cachedTokens: 1, outputTokens: this.#tokens }
    this.chunks.push({ type: 'done', finish: ['stop'], usage })
    this.chunks.close()
  }

  fail(error: unknown): void {
    this.chunks.close(error)
  }
}
