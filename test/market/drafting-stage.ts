import { afterEach } from 'vitest'
import { type LogData, type Logger, silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { Books } from '../../src/market/books.ts'
import {
  RemoteDrafters,
  type RemoteDraftersComponents,
  type RemoteDraftersOptions,
} from '../../src/market/draft/remote-drafters.ts'
import { Owed } from '../../src/market/owed.ts'
import type { Backend } from '../../src/storage/backend.ts'
import type { AdvertModel } from '../../src/wire/advert.ts'
import type { Drafting } from '../../src/wire/drafter.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { Job, Price } from '../../src/wire/job.ts'
import { FakeWriter, hashing, type Rule } from '../engines/fake-writer.ts'
import { inThisThread } from '../identity/in-this-thread.ts'
import { proofStage } from '../receipts/stage.ts'
import {
  frames,
  jobOf,
  modelId,
  NETWORK,
  type ProviderSetup,
  type Script,
  signal,
  stage,
} from './coordinator-stage.ts'
import { type StageOptions as ServeOptions, stage as serveStage } from './serve-stage.ts'

export const said = (length: number): number[] => {
  const ids: number[] = []
  while (ids.length < length) ids.push(hashing(ids) as number)
  return ids
}

const small = { name: 'small', id: modelId('small'), parameters: 10, draftsFor: modelId('large') }
const large = { id: modelId('large'), facts: { architecture: 'llama', parameters: 1_000 } }

const free = { input: 0, output: 0 }

type Given = Omit<RemoteDraftersComponents, 'random' | 'engine' | 'secret' | 'logger'> & {
  logger?: Logger
}

const draftersOf = (given: Given, options: Partial<RemoteDraftersOptions>) =>
  new RemoteDrafters(
    {
      logger: silentLogger,
      ...given,
      random: seededRandom(5),
      engine: { resolve: () => large as never },
      secret: new Uint8Array(32).fill(8),
    },
    { network: NETWORK, price: free, publish: 'receipts', ...options },
  )

export interface DraftedSetup extends Pick<ProviderSetup, 'region'> {
  price?: Price
  model?: object
}

/** Who writes an answer at this price, and a drafter that does what `script` says. */
export async function drafted(script: Script, { price = free, ...more }: DraftedSetup = {}) {
  const all = await stage()
  const drafter = await all.provider({ script, ...more, model: { ...small, ...more.model } })
  const passedOver: LogData[] = []
  const logger = { ...silentLogger, child: () => logger } as Logger
  logger.info = (_, data = {}) => passedOver.push(data)
  const drafters = draftersOf({ ...all.proof, ...all, logger }, { price })
  const guesses: [first: number, ids: readonly number[]][] = []
  const lost: number[] = []
  const find = (job: Partial<Job> = {}): Drafting | undefined =>
    drafters.find(
      jobOf({ model: 'large', watched: true, drafters: [drafter.peerId], ...job }),
      (_, first, ids) => guesses.push([first, ids]),
      () => lost.push(all.clock.elapsed()),
    )
  return { ...all, drafter, find, guesses, lost, passedOver }
}

export const saying = (...more: FromProvider[]): Script => {
  return async (line) => {
    line.signs = false
    line.say(frames.accept(0), ...more)
    while ((await line.hear()) !== undefined);
  }
}

export const guess = (first: number, ids: number[]): FromProvider => ({
  ...{ type: 'tokens', choice: 0, first, ids, text: '', logprobs: [], channel: 'content' },
  tool: { index: 0, name: '', callId: '' },
})

export interface DrafterSetup extends Omit<ServeOptions, 'price'> {
  rule?: Rule
  price?: Price
}

/** A real one, and peers whose answers it drafts. */
export async function drafter({ rule = hashing, price = free, ...more }: DrafterSetup = {}) {
  const writer = new FakeWriter(rule)
  const all = await serveStage({ generate: writer.generate, price, ...more })
  const { hub, clock, network: theirs, provider } = all

  /** One that asks twice as much for its answers. */
  async function target(options: Partial<RemoteDraftersOptions> & { backend?: Backend } = {}) {
    const identity = inThisThread(identityFromSeed(new Uint8Array(32).fill(77)))
    // The clock of a test waits for no other thread.
    identity.signLater = async (message) => identity.sign(message)
    const network = hub.network(identity.peerId)
    await network.start({ signal })
    const { peerId, addrs } = theirs.status()
    await network.connect(peerId, addrs, { signal })
    const models = [{ ...small, id: modelId('test-chat'), kind: 'chat', price } as AdvertModel]
    const advert = { models, addresses: [], hardware: { gpus: [] }, region: 'DE' }
    const { backend, ...rest } = options
    const proof = await proofStage({
      ...{ clock, identity, network: NETWORK },
      ...(backend && { backend }),
    })
    const owed = new Owed(proof)
    const books = new Books({ ...proof, identity, clock, owed }, { network: NETWORK })
    const directory = { get: () => ({ peerId, advert }) as never }
    const drafters = draftersOf(
      { ...proof, network, clock, identity, books, directory },
      { price: { input: 0, output: 2 * price.output }, ...rest },
    )
    return { identity, peerId, proof, drafters }
  }

  async function stop(): Promise<void> {
    const stopping = provider.stop()
    await clock.advance(10_000)
    await stopping
  }
  return { ...all, coordinator: await all.coordinator(), writer, target, stop }
}

/** What drafters of these tests ask for. */
export const price: Price = { input: 700, output: 1_500 }

export type Priced = Awaited<ReturnType<typeof drafter>>

/** Those of one test file; what they hold is let go after each test. */
export function pricedDrafters(): (setup?: DrafterSetup) => Promise<Priced> {
  const stops: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
  })
  return async (setup = {}) => {
    const all = await drafter({ price, ...setup })
    stops.push(all.stop)
    return all
  }
}
