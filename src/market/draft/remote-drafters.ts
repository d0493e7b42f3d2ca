import { liesWithin } from '../../base/country.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import { Underway } from '../../base/underway.ts'
import type { Engine, ModelStatus } from '../../engines/engine.ts'
import { finishesOf } from '../../engines/lanes.ts'
import type { Identity } from '../../identity/identity.ts'
import type { Directory, DirectoryEntry } from '../../network/discovery/directory.ts'
import type { AdvertModel } from '../../wire/advert.ts'
import type { FindDrafting } from '../../wire/drafter.ts'
import type { Job, Price } from '../../wire/job.ts'
import { publicKeyOf } from '../../wire/peer-id.ts'
import { nodeOf } from '../effort.ts'
import { draftId, JobWriter } from '../remote/job-writer.ts'
import { DraftAccount, type DraftAccountComponents } from './draft-account.ts'
import { RemoteDrafting, type RemoteDraftingComponents } from './remote-drafting.ts'

/** Each has a stream: where more answers are written than that, the machine has no time to verify. */
const DRAFTINGS_MAX = 32
/** Of so many it is remembered that they are not to be asked for a while, or publish nothing. */
const REMEMBERED_MAX = 256
/** No answer takes longer. */
const TOTAL_MS = 3_600_000
const FIRST_TOKEN_MS = 30_000

export interface RemoteDraftersComponents extends RemoteDraftingComponents, DraftAccountComponents {
  directory: Pick<Directory, 'get'>
  engine: Pick<Engine, 'resolve'>
  identity: Pick<Identity, 'peerId' | 'publicKey' | 'sign'>
  random: Random
  /** As for other jobs: what a drafter knows an account by. */
  secret: Uint8Array
}

export interface RemoteDraftersOptions {
  /** The network's name. */
  network: string
  /** What this peer asks for its answers, whoever wants them. */
  price: Price
  publish: 'receipts' | 'none'
}

/**
 * Finds the peer that drafts for an answer of this machine: of those that may see the prompt, the
 * first that serves a smaller model of the kind, and asks no more than half of what this one does.
 */
export class RemoteDrafters implements Service {
  readonly #components: RemoteDraftersComponents
  #options: RemoteDraftersOptions
  readonly #writer: JobWriter
  readonly #logger: Logger
  readonly #restingUntil = new LruMap<string, number>(REMEMBERED_MAX)
  readonly #unpublished = new LruMap<string, true>(REMEMBERED_MAX)
  /** Why it was passed over when that was said last. */
  readonly #told = new LruMap<string, string>(REMEMBERED_MAX)
  readonly #underway = new Underway<{ end(): void; parting: Promise<void> }>()
  #isStopped = false

  constructor(components: RemoteDraftersComponents, options: RemoteDraftersOptions) {
    this.#components = components
    this.#options = options
    this.#writer = new JobWriter(components, options)
    this.#logger = components.logger.child('draft')
  }

  /** What the next answers are sold for. */
  adopt({ price }: Pick<RemoteDraftersOptions, 'price'>): void {
    this.#options = { ...this.#options, price }
  }

  async start(): Promise<void> {}

  /** What is owed for answers that have ended comes into the log. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const { end } of this.#underway.all()) end()
    await Promise.all(this.#underway.all().map(({ parting }) => parting))
  }

  find: FindDrafting = (job, guess, lost) => {
    const { engine } = this.#components
    const { work, drafters = [] } = job
    if (drafters.length === 0 || work.kind === 'embedding' || finishesOf(work) !== 1) {
      return undefined
    }
    const target = engine.resolve(job.model)
    const found = target && this.#choose(job, target)
    const isFull = this.#underway.size >= DRAFTINGS_MAX
    if (found === undefined || isFull || this.#isStopped) return undefined
    const { peerId, advert } = found.entry
    const drafting: RemoteDrafting = new RemoteDrafting(this.#components, {
      ...this.#order(job, found),
      ...{ peerId, addresses: advert.addresses, guess, isEager: job.watched === true },
      onLost: lost,
      onRest: (why, restMs, code) => this.#rest(job, peerId, { why, restMs, code }),
      onParting: (parting) => {
        const isOver = this.#underway.add({ end: () => drafting.end(), parting })
        parting.then(isOver, isOver)
      },
    })
    return drafting
  }

  /** The job of drafting, and what its receipt must be. */
  #order({ origin: _, ...job }: Job, { entry, model }: Found) {
    const { identity } = this.#components
    const { peerId, advert } = entry
    const { wishes = {} } = job
    const written = this.#writer.writeDraft(job)
    const maxPrice = { input: 0, output: model.price.output }
    const isHidden = job.unpublished === true || this.#unpublished.get(peerId) === true
    const isPublic = this.#options.publish === 'receipts' && !isHidden
    const cover = written.sign({
      ...{ provider: peerId, model: model.id, attempt: 1, isPublic, maxPrice },
      ...{ firstTokenMs: FIRST_TOKEN_MS, totalMs: TOTAL_MS },
    })
    const id = draftId(job, 1)
    const { promptRoot, promptNonce } = written
    const account = new DraftAccount(this.#components, {
      asked: { job: { ...job, id }, work: 'draft', wishes, written, handover: undefined },
      node: nodeOf(peerId, advert.hardware.gpus, advert.region),
      model: { name: model.name, id: model.id },
      maxPrice,
      commissioned: {
        ...{ jobId: id, promptRoot, model: model.id, isPublic },
        nodePk: publicKeyOf(peerId),
        coordinator: identity.publicKey,
        salt: wishes.receiptPrivacy === 'salted' ? promptNonce : undefined,
      },
    })
    return { job: cover, body: written.body, account }
  }

  #rest(
    { id: job }: Job,
    peerId: string,
    { why, restMs, code }: { why: string; restMs: number; code: string | undefined },
  ): void {
    const { clock } = this.#components
    // It may be asked at once for what nobody else is to hear of.
    if (code === 'publishes_none') this.#unpublished.set(peerId, true)
    else this.#restingUntil.set(peerId, clock.elapsed() + restMs)
    this.#logger.debug('a drafter is of no use', { job, peerId, why })
  }

  #choose({ drafters = [], wishes }: Job, target: ModelStatus): Found | undefined {
    const { clock, identity } = this.#components
    for (const peerId of drafters) {
      const isResting = (this.#restingUntil.get(peerId) ?? 0) > clock.elapsed()
      if (isResting || peerId === identity.peerId) continue
      const found = this.#offered(peerId, target, wishes?.jurisdiction)
      if (typeof found !== 'string') return found
      this.#tell(peerId, found)
    }
    return undefined
  }

  /** Or why it is not asked. */
  #offered(peerId: string, target: ModelStatus, jurisdiction: string | undefined): Found | string {
    const entry = this.#components.directory.get(peerId)
    if (entry === undefined) return 'it is not known here, or not any more'
    if (jurisdiction !== undefined && !liesWithin(entry.advert.region, jurisdiction)) {
      return 'it is outside of the jurisdiction that was asked for'
    }
    // What is paid for the answer does not change: it is this peer's share that a drafter gets of.
    const priceMax = Math.floor(this.#options.price.output / 2)
    const model = drafterOf(entry, target, priceMax)
    if (model !== undefined) return { entry, model }
    return `it has no smaller model of the family at ${priceMax} or less for 1,000 output tokens`
  }

  /** Who named it would wait for its guesses without a word: once, until it is for another reason. */
  #tell(peerId: string, why: string): void {
    if (this.#told.get(peerId) === why) return
    this.#told.set(peerId, why)
    this.#logger.info('a drafter is passed over', { peerId, why })
  }
}

interface Found {
  entry: DirectoryEntry
  model: AdvertModel
}

/** The one that is for it, or the smallest of its family. Whether it guesses well shows soon. */
function drafterOf(
  { advert }: DirectoryEntry,
  { id, facts }: ModelStatus,
  priceMax: number,
): AdvertModel | undefined {
  const fit = advert.models.filter(({ kind, price }) => kind === 'chat' && price.output <= priceMax)
  const meant = fit.find(({ draftsFor }) => id !== undefined && draftsFor === id)
  if (meant !== undefined || facts === undefined) return meant
  const { architecture, parameters } = facts
  const [smallest] = fit
    .filter((model) => model.family === architecture && model.parameters < parameters)
    .toSorted((a, b) => a.parameters - b.parameters)
  return smallest
}
