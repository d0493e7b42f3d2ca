import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { BusyError, messageOf } from '../../base/errors.ts'
import { hexName } from '../../base/hex.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Directory } from '../../network/discovery/directory.ts'
import { draw } from '../../network/discovery/draw.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { Network } from '../../network/network.ts'
import { type Cid, parseCid } from '../../wire/cid.ts'
import { tryToReadBody } from '../../wire/entry.ts'
import { lookupKey } from '../../wire/model-id.ts'
import { sameBytes } from '../../wire/octets.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import type { OpenReceipt } from '../../wire/receipt.ts'
import type { OpenFound } from '../../wire/sync.ts'
import { writerOf } from '../feeds/findings.ts'
import type { ReceiptLookup } from '../lookup.ts'
import type { Found } from '../reader.ts'
import type { ReceiptPage, Receipts, ReceiptView } from '../view.ts'
import { isArchive } from './archives.ts'
import type { HeadIndex } from './head-index.ts'
import { type AskComponents, asking, type SyncClient } from './sync-client.ts'

/** A client waits for it. */
const FIND_MS = 2_000
const ASKED_MAX = 16
/** Of those that say in the DHT to be archives; anybody can. */
const ARCHIVES_MAX = 8
const ADDRESSES_MAX = 8
/** Those that were asked first are slow or gone by then. */
const ARCHIVES_AFTER_MS = 700
/** Anybody may ask for what there never was. */
const MISS_MS = 10_000
const MISSES_MAX = 1_024
/** Peers take few streams of one peer at once, and whoever asks here must not make us a nuisance. */
const AT_ONCE = 3
const GAP_MS = 50
const WAITING_MAX = 32

export interface NetworkReceiptsComponents extends AskComponents {
  network: Pick<
    Network,
    'open' | 'fault' | 'connect' | 'isConnected' | 'connected' | 'findProviders'
  >
  /** This peer's own id. */
  self: string
  directory: Pick<Directory, 'all' | 'get'>
  local: ReceiptLookup
  index: Pick<HeadIndex, 'isBarred'>
  background: Background
  clock: Clock
  random: Random
  logger: Logger
}

type Answer = OpenFound | OpenReceipt

/** What an entry leads to. */
type More = (found: Found) => Promise<ReceiptView | undefined>

/** What a peer showed. Where it is hearsay, another may have the word of who signed it. */
interface Told {
  view: ReceiptView
  isHearsay: boolean
}

/** Receipts of this peer, and one by one those that other peers have. */
export class NetworkReceipts implements Receipts {
  readonly #components: NetworkReceiptsComponents
  readonly #flights = new Map<string, Promise<ReceiptView | undefined>>()
  /** CID → when it may be asked for again. */
  readonly #misses = new LruMap<string, number>(MISSES_MAX)
  readonly #turns = new Turns(AT_ONCE)
  #freeAt = 0

  constructor(components: NetworkReceiptsComponents) {
    this.#components = components
  }

  async find(
    text: string,
    { signal = never }: { signal?: AbortSignal } = {},
  ): Promise<ReceiptView | undefined> {
    const { local, network, clock } = this.#components
    const here = await local.find(text)
    const cid = parseCid(text)
    if (here !== undefined && !lacksProof(here, cid)) return here
    const name = `${cid.kind} ${hexName(cid.digest)}`
    if ((this.#misses.get(name) ?? 0) > clock.elapsed()) return here
    // Who is alone has not missed anything.
    if (network.connected().length === 0) return here
    const finding = unlessAborted(this.#flight(name, cid), signal)
    if (here === undefined) return await finding
    const proved = await finding.catch(() => signal.throwIfAborted())
    return proved ?? here
  }

  recent(options: { limit: number; after?: string }): Promise<ReceiptPage> {
    return this.#components.local.recent(options)
  }

  onReceipt(listener: (view: ReceiptView) => void): () => void {
    return this.#components.local.onReceipt(listener)
  }

  #flight(name: string, cid: Cid): Promise<ReceiptView | undefined> {
    let flight = this.#flights.get(name)
    if (flight === undefined) {
      if (this.#flights.size >= WAITING_MAX) throw tooMany()
      flight = this.#search(name, cid).finally(() => this.#flights.delete(name))
      this.#flights.set(name, flight)
    }
    return flight
  }

  async #search(name: string, cid: Cid): Promise<ReceiptView | undefined> {
    const { clock } = this.#components
    const view = await this.#inTurn(cid)
    if (view === undefined) this.#misses.set(name, clock.elapsed() + MISS_MS)
    return view
  }

  /** Throws where others are looked for all the time. */
  async #inTurn(cid: Cid): Promise<ReceiptView | undefined> {
    const { clock, background } = this.#components
    const endsAt = clock.elapsed() + FIND_MS
    const waiting = new AbortController()
    const cancel = clock.after(FIND_MS, () => waiting.abort(tooMany()))
    const { signal } = waiting
    return await this.#turns.take(AbortSignal.any([signal, background.signal]), async () => {
      cancel()
      const now = clock.elapsed()
      const waitMs = Math.max(0, this.#freeAt - now)
      this.#freeAt = now + waitMs + GAP_MS
      if (waitMs > 0) await clock.sleep(waitMs, background.signal)
      return await this.#ask(cid, endsAt)
    })
  }

  /** What is known of it by then. Never fails: what goes wrong on the way is no answer. */
  async #ask(cid: Cid, endsAt: number): Promise<ReceiptView | undefined> {
    const { shown } = this.#components.local
    // A routing entry shows a receipt that stands in another entry, of whoever did the work.
    let work: Promise<ReceiptView | undefined> | undefined
    const withWork = async (found: Found) => {
      const execution = shown.workOf(found)
      if (execution === undefined) return undefined
      work ??= this.#seek(execution, endsAt, async () => undefined)
      const view = await work
      return view?.execution && (await shown.withRouting(view, found))
    }
    const here = cid.kind === 'entry' ? await shown.entry(cid) : undefined
    // What came with an answer is looked for where it has its place.
    return here?.place ? await withWork(here) : await this.#seek(cid, endsAt, withWork)
  }

  /** The first good answer until then. `more`: of an entry that shows nothing by itself. */
  async #seek(cid: Cid, endsAt: number, more: More): Promise<ReceiptView | undefined> {
    const { clock, background } = this.#components
    const over = new AbortController()
    let found: Told | undefined
    const asked = new Set([this.#components.self])
    const ask = async (peerId: string, addresses: readonly string[], signal: AbortSignal) => {
      if (asked.has(peerId)) return
      asked.add(peerId)
      const answer = await this.#askOne(cid, peerId, addresses, signal)
      const told = answer && (await this.#told(answer, cid, more))
      // Another may have answered meanwhile, and ended this one in vain.
      if (told !== undefined && (found === undefined || isBetter(told, found))) found = told
      if (found?.isHearsay === false) over.abort()
    }
    const ending = AbortSignal.any([over.signal, background.signal])
    const limit = { ms: endsAt - clock.elapsed(), what: 'Looking for a receipt', signal: ending }
    try {
      await within(clock, limit, async (signal) => {
        const near = this.#near().map((each) => ask(each.peerId, each.addresses, signal))
        const patience = new AbortController()
        await Promise.race([
          Promise.all(near).finally(() => patience.abort()),
          clock.sleep(ARCHIVES_AFTER_MS, patience.signal).catch(() => {}),
        ])
        await this.#askArchives((peerId, addresses) => ask(peerId, addresses, signal), signal)
        await Promise.all(near)
      })
    } catch {
      // Found, or out of time, or the DHT is out of reach.
    }
    return found?.view
  }

  async #told(answer: Answer, cid: Cid, more: More): Promise<Told | undefined> {
    const { local, clock } = this.#components
    const { shown } = local
    if (!('head' in answer)) {
      return { view: shown.openElsewhere(answer, clock.now()), isHearsay: false }
    }
    const view =
      (await shown.elsewhere(answer, cid)) ?? (await more({ sealed: answer, elsewhere: answer }))
    if (view === undefined) return undefined
    const { author } = answer.head
    const writer = writerOf(tryToReadBody(answer.entry)) ?? author
    const isFirstHand =
      cid.kind === 'entry'
        ? sameBytes(writer, author)
        : view.verified && view.nodeId === peerIdOf(author)
    return { view, isHearsay: !isFirstHand }
  }

  /** Archives first, then any. */
  #near(): { peerId: string; addresses: readonly string[] }[] {
    const { directory, random } = this.#components
    const all = directory.all().map(({ peerId, advert: { addresses } }) => ({ peerId, addresses }))
    const archives = all.filter(({ peerId }) => isArchive(directory, peerId))
    const others = all.filter(({ peerId }) => !isArchive(directory, peerId))
    const first = draw(archives, ASKED_MAX, random)
    return [...first, ...draw(others, ASKED_MAX - first.length, random)]
  }

  async #askArchives(
    ask: (peerId: string, addresses: readonly string[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const asking: Promise<void>[] = []
    const hints = this.#components.network.findProviders(lookupKey('role', 'archive'), { signal })
    for await (const { peerId, addresses } of hints) {
      asking.push(ask(peerId, addresses))
      if (asking.length >= ARCHIVES_MAX) break
    }
    await Promise.all(asking)
  }

  async #askOne(
    cid: Cid,
    peerId: string,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    const { network, index, logger } = this.#components
    try {
      if (!network.isConnected(peerId)) {
        await network.connect(peerId, addresses.slice(0, ADDRESSES_MAX), { signal })
      }
      const task = (client: SyncClient) => client.get(cid)
      const found = await asking(this.#components, peerId, { signal }, task)
      const isBarred = found !== undefined && 'head' in found && index.isBarred(found.head.author)
      return isBarred ? undefined : found
    } catch (error) {
      logger.debug('a peer was asked for a receipt in vain', { peerId, error: messageOf(error) })
      return undefined
    }
  }
}

/** Anybody can put a receipt of another, or one that looks like it, into a log of their own. */
const isBetter = (told: Told, known: Told): boolean =>
  known.isHearsay && (!told.isHearsay || (told.view.verified && !known.view.verified))

const tooMany = () => new BusyError('Too many receipts are looked for already.', FIND_MS)

const never = new AbortController().signal

/** It came with an answer, and the log that it stands in is not here, or not so far. */
const lacksProof = ({ execution }: ReceiptView, cid: Cid): boolean =>
  execution !== undefined && execution.proof === undefined && execution.cid === `${cid}`
