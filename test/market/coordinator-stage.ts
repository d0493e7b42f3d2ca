import { createHash } from 'node:crypto'
import { unlessAborted } from '../../src/base/deadline.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { Books } from '../../src/market/books.ts'
import { EXPLORED_OF } from '../../src/market/choose/dispatcher.ts'
import { Coordinator, type CoordinatorOptions } from '../../src/market/coordinator.ts'
import { Owed } from '../../src/market/owed.ts'
import { MemoryDirectory } from '../../src/network/discovery/memory-directory.ts'
import { memoryHub } from '../../src/network/memory/memory-hub.ts'
import type { MemoryNetwork } from '../../src/network/memory/memory-network.ts'
import type { Backend } from '../../src/storage/backend.ts'
import type { Advert, AdvertModel } from '../../src/wire/advert.ts'
import type { Chunk, Done, Routed } from '../../src/wire/chunk.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { Job, Sampling, Work } from '../../src/wire/job.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import type { ModelLoad } from '../../src/wire/status.ts'
import { ScriptedEngine } from '../api/scripted-engine.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'
import { inThisThread } from '../identity/in-this-thread.ts'
import { type ProofStage, proofStage } from '../receipts/stage.ts'
import { type Line, lineOpener } from './provider-line.ts'

export const NETWORK = 'test'
export const signal = new AbortController().signal

export const modelId = (name: string) => cidModelId(createHash('sha256').update(name).digest())

const sampling: Sampling = {
  temperature: 0,
  topP: 1,
  seed: 7,
  choices: 1,
  maxTokens: 50,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

export const chat = (more: Partial<Sampling> = {}, content = 'hello'): Work => ({
  kind: 'chat',
  messages: [{ role: 'user', content }],
  sampling: { ...sampling, ...more },
})

let jobs = 0

export const jobOf = (more: Partial<Job> = {}): Job => ({
  id: `job_${++jobs}`,
  model: 'net-chat',
  work: chat(),
  cacheScope: 'acct_1',
  ...more,
})

export type Script = (line: Line) => Promise<void>

const noFault = { message: 'No.', param: '', retryAfterMs: 0 }

export const frames = {
  accept: (inputTokens = 5, allowance = 8): FromProvider => ({
    type: 'accept',
    inputTokens,
    price: { input: 0, output: 0 },
    allowance,
    openSignature: new Uint8Array(),
    resumedAt: [],
  }),
  refuse: (code: string, more: Partial<typeof noFault> = {}): FromProvider => ({
    type: 'refuse',
    code,
    ...noFault,
    ...more,
  }),
  failed: (code: string): FromProvider => ({ type: 'failed', code, ...noFault }),
  progress: (queued = 0): FromProvider => ({
    type: 'progress',
    queued,
    prefilled: 0,
    total: 5,
    inputTokens: 5,
  }),
  tokens: (first: number, texts: string[], choice = 0): FromProvider => ({
    type: 'tokens',
    choice,
    first,
    ids: texts.map((_, at) => first + at),
    text: texts.join(''),
    logprobs: [],
    channel: 'content',
    tool: { index: 0, name: '', callId: '' },
  }),
  done: (
    outputTokens: number,
    more: Partial<Pick<Done, 'finish' | 'usage'>> = {},
  ): FromProvider => ({
    type: 'done',
    finish: ['stop'],
    usage: { inputTokens: 5, cachedTokens: 0, outputTokens },
    entry: new Uint8Array(),
    drafting: [],
    ...more,
  }),
}

/** Two tokens, and an Ack is waited for. */
export const honest: Script = async (line) => {
  line.say(frames.accept(), frames.tokens(0, ['Hello']), frames.tokens(1, [' world']))
  line.say(frames.done(2))
  while ((await line.hear()) !== undefined);
}

export interface ProviderSetup {
  script?: Script
  region?: string
  model?: Partial<AdvertModel>
  gpu?: string
}

export class ScriptedProvider {
  readonly peerId: string
  readonly network: MemoryNetwork
  readonly lines: Line[] = []
  script: Script

  constructor(peerId: string, network: MemoryNetwork, script: Script) {
    this.peerId = peerId
    this.network = network
    this.script = script
  }
}

export interface StageOptions extends Partial<CoordinatorOptions> {
  remote?: false
  backend?: Backend
  log?: ProofStage['log']
}

export async function stage(options: StageOptions = {}) {
  const { backend, log } = options
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const engine = new ScriptedEngine()
  for (const status of engine.status()) status.id = modelId(status.name)
  const identity = inThisThread(identityFromSeed(new Uint8Array(32).fill(99)))
  // The clock of a test waits for no other thread.
  identity.signLater = async (message) => identity.sign(message)
  const network = hub.network(identity.peerId)
  await network.start({ signal })
  const directory = new MemoryDirectory()
  const lookUps: string[] = []
  const suspected: string[] = []
  const counted: string[] = []
  let watched: readonly string[] = []
  const explores: { now: boolean | 'by chance' } = { now: false }
  const dice = seededRandom(1)
  const random: Random = {
    bytes: (length) => dice.bytes(length),
    below: (limit) => {
      if (limit !== EXPLORED_OF || explores.now === 'by chance') return dice.below(limit)
      return explores.now ? 0 : 1
    },
  }
  const onLookUp = { found: async (_name: string) => {} }
  const discovery = {
    directory,
    lookUp: async (name: string, wait: { signal: AbortSignal }) => {
      lookUps.push(name)
      await unlessAborted(onLookUp.found(name), wait.signal)
    },
    suspect: (peerId: string) => suspected.push(peerId),
    watch: (peerIds: readonly string[]) => {
      watched = peerIds
    },
    onChange: directory.onChange.bind(directory),
  }
  const proof = await proofStage({
    ...{ clock, identity, network: NETWORK },
    ...(backend && { backend }),
    ...(log && { log }),
  })
  const owed = new Owed(proof)
  const books = new Books({ ...proof, identity, clock, owed }, { network: NETWORK })
  const coordinator = new Coordinator(
    {
      ...proof,
      books,
      engine,
      discovery: options.remote === false ? undefined : discovery,
      network,
      identity,
      secret: new Uint8Array(32).fill(3),
      clock,
      random,
      logger: silentLogger,
      metrics: {
        ...noMetrics,
        counter: () => ({ add: (_, labels) => labels?.outcome && counted.push(labels.outcome) }),
      },
    },
    { network: NETWORK, firstByteMs: 20_000, ...options },
  )
  await coordinator.start({ signal })
  let sequence = 0
  let seeds = 0

  /** Puts a peer that listens into the directory. */
  const list = (side: MemoryNetwork, setup: ProviderSetup): void => {
    const { peerId } = side
    const addresses = side.status().addrs.map((address) => address.replace(/\/p2p\/.*$/, ''))
    directory.put({
      peerId,
      advert: advertOf(peerId, addresses, ++sequence, setup),
      status: undefined,
      heardAt: clock.elapsed(),
      connected: false,
      rttMs: undefined,
    })
  }

  return {
    clock,
    hub,
    engine,
    identity,
    network,
    directory,
    list,
    coordinator,
    proof,
    books,
    lookUps,
    onLookUp,
    suspected,
    /** Whether the next requests try another than the best. */
    explores,
    /** How attempts ended, in order. */
    counted,
    watched: () => watched,
    faults: () => hub.faults.filter(({ by }) => by === identity.peerId),

    /** A peer that serves `net-chat`, listed in the directory. */
    async provider(setup: ProviderSetup = {}): Promise<ScriptedProvider> {
      const who = identityFromSeed(new Uint8Array(32).fill(++seeds))
      const { peerId } = who
      const side = hub.network(peerId)
      const provider = new ScriptedProvider(peerId, side, setup.script ?? honest)
      const open = lineOpener({ identity: who, clock, network: NETWORK })
      side.handle(
        'generate/1',
        async (stream) => {
          const line = await open(stream)
          provider.lines.push(line)
          await provider.script(line)
        },
        { streamsMax: 256, opensPerSecond: 1_000 },
      )
      await side.start({ signal })
      list(side, setup)
      return provider
    },

    load(peerId: string, load: Partial<ModelLoad>, draining = false): void {
      const advert = directory.get(peerId)?.advert
      const id = advert?.models[0]?.id ?? ''
      const full = {
        id,
        ready: true,
        slots: 4,
        running: 0,
        queued: 0,
        tokensPerSecond: 50,
        ...load,
      }
      const status = { advertSequence: advert?.sequence ?? 0, draining, models: [full] }
      directory.update(peerId, { status })
    },

    async collect(job: Partial<Job> = {}, options = { signal }): Promise<Answer> {
      const chunks: Chunk[] = []
      for await (const chunk of coordinator.generate(jobOf(job), options)) chunks.push(chunk)
      return new Answer(chunks)
    },
  }
}

/** Two providers, of which the first is asked first and does what `script` says; the second is honest. */
export async function two(script: Script) {
  const all = await stage()
  const bad = await all.provider()
  // One that is proven goes before one that nobody knows.
  await all.collect()
  await settled()
  bad.lines.length = 0
  bad.script = script
  const good = await all.provider()
  return { ...all, bad, good }
}

export class Answer {
  readonly chunks: readonly Chunk[]

  constructor(chunks: readonly Chunk[]) {
    this.chunks = chunks
  }

  get text(): string {
    return this.chunks.map((chunk) => (chunk.type === 'tokens' ? chunk.text : '')).join('')
  }

  get routed(): Routed {
    const routed = this.chunks.filter((chunk) => chunk.type === 'routed')
    if (routed.length !== 1) throw new Error(`${routed.length} routed chunks`)
    return routed[0] as Routed
  }

  get done(): Done {
    const last = this.chunks.at(-1)
    if (last?.type !== 'done') throw new Error('no done')
    return last
  }

  get outcomes(): string[] {
    return this.routed.route.attempts.map(({ outcome }) => outcome)
  }
}

function advertOf(
  peerId: string,
  addresses: string[],
  sequence: number,
  { region, model = {}, gpu }: ProviderSetup,
): Advert {
  const gpus = gpu === undefined ? [] : [{ name: gpu, vramTotalBytes: 1, vramFreeBytes: 1 }]
  const { name = 'net-chat' } = model
  return {
    peerId,
    sequence,
    ttlS: 30,
    addresses,
    roles: ['provider'],
    ...(region === undefined ? {} : { region }),
    hardware: { gpus, cpu: 'cpu', cpuThreads: 2, ramBytes: 1, backend: 'cpu' },
    models: [
      {
        name,
        id: modelId(name),
        kind: 'chat',
        family: 'llama',
        parameters: 1000,
        quant: 'F32',
        contextLength: 512,
        embeddingLength: 0,
        capabilities: [],
        slots: 4,
        price: { input: 0, output: 0 },
        ...model,
      },
    ],
    version: '1',
  }
}
