import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Identity } from '../../src/identity/identity.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { FeedStore } from '../../src/receipts/feeds/feed-store.ts'
import type { OwnName } from '../../src/receipts/feeds/keys.ts'
import { OwnFeed } from '../../src/receipts/feeds/own-feed.ts'
import { HeldEntries } from '../../src/receipts/held.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { ReceiptLookup } from '../../src/receipts/lookup.ts'
import { RequestIndex } from '../../src/receipts/requests.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { type Body, decodeEntry, readBody } from '../../src/wire/entry.ts'

export interface ProofStage {
  clock: Clock
  identity: Identity
  network: string
  /** Where another one stood: this is that peer after a restart. */
  backend?: Backend
  log?: ConstructorParameters<typeof OwnFeed>[1]
}

/** What a peer has for its receipts, in memory. */
export async function proofStage({
  clock,
  identity,
  network,
  backend = new MemoryBackend(),
  log: options = {},
}: ProofStage) {
  const store = await openStoreOn(backend, { logger: silentLogger })
  const verify = createVerifyNative()
  const feeds = new FeedStore({ store })
  const { publicKey } = identity
  const signing = { network, sign: (message: Uint8Array) => identity.sign(message) }
  const random = seededRandom(1)
  // As the system's clock has it, and a test's need not.
  const whole = { ...systemClock, now: () => Math.floor(clock.now()) }
  const parts = { feeds, store, publicKey, signing, verify, clock: whole, random }
  const log = new OwnFeed({ ...parts, logger: silentLogger }, options)
  await log.start()
  const live = new LiveReceipts({ clock })
  const held = new HeldEntries({ store, clock })
  const requests = new RequestIndex({ store })
  const receipts = new ReceiptLookup({ feeds, live, held, requests, verify }, { network })
  return {
    ...{ store, verify, feeds, log, live, held, requests, receipts },

    /** What the own log says, from its beginning; `private`: the one that nobody else sees. */
    async bodies(name: OwnName = 'public'): Promise<Body[]> {
      const bodies: Body[] = []
      const own = await feeds.tables.own.get({ author: publicKey, name })
      if (own === undefined) return bodies
      const feed = { author: publicKey, epoch: own.epoch }
      for await (const { bytes } of feeds.entries(feed, 0, Number.MAX_SAFE_INTEGER)) {
        const body = readBody(decodeEntry(bytes).entry)
        if (body !== undefined) bodies.push(body)
      }
      return bodies
    },
  }
}
