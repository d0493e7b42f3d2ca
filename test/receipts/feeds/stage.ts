import type { Clock } from '../../../src/base/clock.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { Identity } from '../../../src/identity/identity.ts'
import { createVerifyNative, type VerifyLater } from '../../../src/identity/verify-native.ts'
import { FeedStore } from '../../../src/receipts/feeds/feed-store.ts'
import { Intake } from '../../../src/receipts/feeds/intake.ts'
import { OwnFeed } from '../../../src/receipts/feeds/own-feed.ts'
import type { Backend } from '../../../src/storage/backend.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { openStoreOn, type Store } from '../../../src/storage/store.ts'
import { encodeEntry, type SealedEntry } from '../../../src/wire/entry.ts'
import type { Signed } from '../../../src/wire/generate.ts'
import { readHead } from '../../../src/wire/head.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import { includes, leafHash } from '../../../src/wire/merkle.ts'
import type { Verify } from '../../../src/wire/signed.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { ExampleLog, filled, network, provider } from '../../wire/log-examples.ts'

export const verify = createVerifyNative()
export const verifying = { network, verify }

/** One peer's logs, as its program opens them on its disk. */
export interface Stage {
  store: Store
  feeds: FeedStore
  intake: Intake
  own: OwnFeed
}

export interface StageOptions {
  who?: Identity
  /** Where another one stood: this is that peer after a restart. */
  backend?: Backend
  seed?: number
  clock?: Clock
  logger?: Logger
  verify?: Verify
  verifyLater?: VerifyLater
  intake?: ConstructorParameters<typeof Intake>[1]
  isWanted?(author: Uint8Array): boolean
  own?: ConstructorParameters<typeof OwnFeed>[1]
}

export async function stage(options: StageOptions = {}): Promise<Stage> {
  const { who = provider, backend = new MemoryBackend(), seed = 1 } = options
  const { clock = new FakeClock(), verify: checks = verify } = options
  const { verifyLater = async (...args) => checks(...args) } = options
  const { logger = silentLogger } = options
  const store = await openStoreOn(backend, { logger })
  const feeds = new FeedStore({ store })
  const checking = { network, verify: checks }
  const parts = { feeds, store, clock, logger }
  const { publicKey } = who
  const { isWanted = () => false } = options
  const knowing = { verifying: checking, verifyLater, publicKey, isThere: isWanted, isWanted }
  const intake = new Intake({ ...parts, ...knowing }, options.intake)
  const signing = { network, sign: (message: Uint8Array) => who.sign(message) }
  const random = seededRandom(seed)
  const own = new OwnFeed({ ...parts, publicKey, signing, verify: checks, random }, options.own)
  await own.start()
  return { store, feeds, intake, own }
}

/** An entry of a kind that nobody knows, with this many bytes on top. */
export const note = (n: number, bytes = 0): SealedEntry =>
  encodeEntry({ kind: 'note', at: 1, body: { n, filling: new Uint8Array(bytes) } })

export const notes = (count: number, from = 0): SealedEntry[] =>
  Array.from({ length: count }, (_, n) => note(from + n))

export const author = (who: Identity, epoch = filled(3, 8)) => ({ author: who.publicKey, epoch })

/** A log of the provider with so many entries; with `fork`, others from that index on. */
export function providersLog(size: number, fork = size): ExampleLog {
  const entries = [...notes(fork), ...notes(size - fork, 1_000_000)]
  return new ExampleLog(provider).append(...entries)
}

/** That the entry stands at this index of the log with this head. */
export function stands(
  { cid }: Pick<SealedEntry, 'cid'>,
  index: number,
  { head, path }: { head: Signed; path: Uint8Array[] },
): boolean {
  const { size, root } = readHead(head)
  return includes({ leaf: leafHash(cid.bytes), index, size, root, path })
}

export async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export const sizeOf = (head: Signed | undefined) => head && readHead(head).size

/** All heads that it shows from here on. */
export function headsOf({ own }: Stage): Batch[] {
  const batches: Batch[] = []
  own.onHead((batch) => batches.push(batch))
  return batches
}
