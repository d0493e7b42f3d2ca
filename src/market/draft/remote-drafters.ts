import { liesWithin } from '../../base/country.ts'
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
import type { Job } from '../../wire/job.ts'
import { JobWriter } from '../remote/job-writer.ts'
import { RemoteDrafting, type RemoteDraftingComponents } from './remote-drafting.ts'

/** Each has a stream: where more answers are written than that, the machine has no time to verify. */
const DRAFTINGS_MAX = 32
/** Of so many it is remembered that they are not to be asked for a while. */
const RESTING_MAX = 256
/** No answer takes longer. */
const TOTAL_MS = 3_600_000
const FIRST_TOKEN_MS = 30_000

export interface RemoteDraftersComponents extends RemoteDraftingComponents {
  directory: Pick<Directory, 'get'>
  engine: Pick<Engine, 'resolve'>
  identity: Pick<Identity, 'peerId' | 'sign'>
  random: Random
  logger: Logger
  /** As for other jobs: what a drafter knows an account by. */
  secret: Uint8Array
}

/**
 * Finds the peer that drafts for an answer of this machine: of those that may see the prompt, the
 * first that serves a smaller model of the kind, and asks nothing for it.
 */
export class RemoteDrafters {
  readonly #components: RemoteDraftersComponents
  readonly #writer: JobWriter
  readonly #logger: Logger
  readonly #restingUntil = new LruMap<string, number>(RESTING_MAX)
  readonly #underway = new Underway<Promise<void>>()

  constructor(components: RemoteDraftersComponents, { network }: { network: string }) {
    this.#components = components
    this.#writer = new JobWriter(components, { network })
    this.#logger = components.logger.child('draft')
  }

  find: FindDrafting = (job, guess, lost) => {
    const { engine } = this.#components
    const { work, drafters = [] } = job
    if (drafters.length === 0 || work.kind === 'embedding' || finishesOf(work) !== 1) {
      return undefined
    }
    const target = engine.resolve(job.model)
    const found = target && this.#choose(job, target)
    if (found === undefined || this.#underway.size >= DRAFTINGS_MAX) return undefined
    const { entry, model } = found
    const { peerId } = entry
    const written = this.#writer.writeDraft(job)
    const cover = written.sign({
      ...{ provider: peerId, model: model.id, attempt: 1, isPublic: false },
      ...{ firstTokenMs: FIRST_TOKEN_MS, totalMs: TOTAL_MS, maxPrice: { input: 0, output: 0 } },
    })
    const onLost = (why: string, restMs: number) => {
      const { clock } = this.#components
      this.#restingUntil.set(peerId, clock.elapsed() + restMs)
      this.#logger.debug('a drafter is of no use', { job: job.id, peerId, why })
      lost()
    }
    const onParting = (parting: Promise<void>) => {
      const isOver = this.#underway.add(parting)
      parting.then(isOver, isOver)
    }
    const { addresses } = entry.advert
    const isEager = job.watched === true
    const order = { peerId, addresses, job: cover, body: written.body, guess, isEager }
    return new RemoteDrafting(this.#components, { ...order, onLost, onParting })
  }

  #choose({ drafters = [], wishes }: Job, target: ModelStatus) {
    const { directory, clock, identity } = this.#components
    for (const peerId of drafters) {
      const entry = directory.get(peerId)
      const isResting = (this.#restingUntil.get(peerId) ?? 0) > clock.elapsed()
      if (entry === undefined || isResting || peerId === identity.peerId) continue
      const { jurisdiction } = wishes ?? {}
      if (jurisdiction !== undefined && !liesWithin(entry.advert.region, jurisdiction)) continue
      const model = drafterOf(entry, target)
      if (model !== undefined) return { entry, model }
    }
    return undefined
  }
}

/** The one that is for it, or the smallest of its family. Whether it guesses well shows soon. */
function drafterOf(
  { advert }: DirectoryEntry,
  { id, facts }: ModelStatus,
): AdvertModel | undefined {
  const free = advert.models.filter(
    ({ kind, price }) => kind === 'chat' && price.input === 0 && price.output === 0,
  )
  const meant = free.find(({ draftsFor }) => id !== undefined && draftsFor === id)
  if (meant !== undefined || facts === undefined) return meant
  const { architecture, parameters } = facts
  const [smallest] = free
    .filter((model) => model.family === architecture && model.parameters < parameters)
    .toSorted((a, b) => a.parameters - b.parameters)
  return smallest
}
