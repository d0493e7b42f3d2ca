import type { Clock } from '../base/clock.ts'
import { LruMap } from '../base/lru-map.ts'
import { capabilitiesOf } from '../engines/advert-facts.ts'
import type { Engine, ModelKind, ModelStatus } from '../engines/engine.ts'
import type { Directory, DirectoryChange, DirectoryEntry } from '../network/discovery/directory.ts'
import type { AdvertModel } from '../wire/advert.ts'
import { type Capability, lacking } from '../wire/capability.ts'
import type { Price } from '../wire/job.ts'
import { declaredModelId, parseModelId } from '../wire/model-id.ts'
import type { MarketModel } from './market.ts'

/** A provider that restarts is back by then; until then its model is not unknown, only away. */
const REMEMBERED_MS = 10 * 60_000
/** Names and ids; a stranger's advert brings some tens. */
const REMEMBERED_MAX = 4_096
/** Of one request, besides the first: a stranger can declare what it likes. */
const MEANT_MAX = 3
/** In a sentence of an error. */
const NAMED_MAX = 5
/** Peers are met one after the other: what came within the same time is as old. */
const SAME_AGE_S = 60

export interface ModelListComponents {
  engine: Pick<Engine, 'status' | 'resolve'>
  directory: Directory
  clock: Clock
  /** Whether own measurements speak for it. */
  isGood(peerId: string, modelId: string): boolean
}

export interface ModelListOptions {
  peerId: string
  price: Price
  /** Name → id that it means, whatever others serve under it. */
  pins: Readonly<Record<string, string>>
  /** Name → name that is meant by it, of a model here or anywhere; never one that is an alias. */
  aliases: Readonly<Record<string, string>>
}

/** A model as one peer advertises it, of a kind that is known here. */
export interface Offer {
  entry: DirectoryEntry
  model: AdvertModel
}

/** What a name means, and what there is: this machine's models, and those of the directory. */
export class ModelList {
  readonly #components: ModelListComponents
  #options: ModelListOptions
  /** What was advertised until lately, by name and by id; `goneAt` is when the last one left. */
  readonly #gone = new LruMap<string, { row: MarketModel; goneAt: number }>(REMEMBERED_MAX)
  readonly #firstSeen = new LruMap<string, number>(REMEMBERED_MAX)

  constructor(components: ModelListComponents, options: ModelListOptions) {
    this.#components = components
    this.#options = options
  }

  /** What is asked, and what names mean, from now on. */
  adopt(options: Pick<ModelListOptions, 'price' | 'aliases'>): void {
    this.#options = { ...this.#options, ...options }
  }

  resolve(asked: string): MarketModel | undefined {
    const { engine } = this.#components
    const name = this.#meant(asked)
    const local = engine.resolve(name) ?? engine.status().find(({ id }) => id === name)
    if (local !== undefined) return this.#local(local)
    const id = this.idOf(name)
    return this.#row(name, id, this.#offers(id)) ?? this.#remembered(name)
  }

  /** Some of those that can do all of this. */
  whoCan(needs: readonly Capability[]): string[] {
    const able = this.list().filter(({ capabilities, nodes }) => {
      return nodes > 0 && capabilities !== undefined && lacking(needs, capabilities) === undefined
    })
    return able.slice(0, NAMED_MAX).map(({ name }) => name)
  }

  /** Own first, then the network's by name. */
  list(): MarketModel[] {
    const own = this.#components.engine.status().map((status) => this.#local(status))
    const taken = new Set(own.map(({ name }) => name))
    const others = [...this.#components.directory.modelNames().keys()]
      // Whoever asks for an alias is given something else.
      .filter((name) => !taken.has(name) && this.#meant(name) === name)
      .toSorted()
      .flatMap((name) => this.resolve(name) ?? [])
    return [...own, ...others]
  }

  /** The owner's word, then what most good providers serve by that name; else it is an id. */
  idOf(asked: string): string {
    const name = this.#meant(asked)
    const pinned = Object.hasOwn(this.#options.pins, name) ? this.#options.pins[name] : undefined
    if (pinned !== undefined) return pinned
    const ids = [...(this.#components.directory.modelNames().get(name) ?? [])]
    return ids.length > 1 ? this.#mostServed(name) : (ids[0] ?? name)
  }

  /**
   * What somebody else declares by that name. Of a model whose weights nobody sees, the name is all that
   * was asked for; one that is known by its content is never replaced.
   */
  another(name: string, meant: ReadonlySet<string>): string | undefined {
    const isDeclared = (id: string) => parseModelId(id)?.type === 'declared'
    if (meant.size > MEANT_MAX || ![...meant].every(isDeclared)) return undefined
    const ids = [...(this.#components.directory.modelNames().get(name) ?? [])]
    const own = declaredModelId(name, this.#options.peerId)
    return ids.find((id) => !meant.has(id) && isDeclared(id) && id !== own)
  }

  /** Keeps what left in memory. */
  changed({ entry, previous }: DirectoryChange): void {
    if (entry?.advert === previous?.advert) return
    for (const { name, id } of entry?.advert.models ?? []) this.#see(name, id, meaning(name, id))
    for (const model of previous?.advert.models ?? []) {
      const row = previous && this.#row(model.name, model.id, [{ entry: previous, model }])
      if (row === undefined) continue
      const gone = { row: { ...row, nodes: 0, price: undefined }, goneAt: this.#now() }
      this.#gone.set(row.name, gone)
      this.#gone.set(model.id, { ...gone, row: { ...gone.row, name: model.id } })
    }
  }

  /** A model of this machine is never hidden by an alias. */
  #meant(name: string): string {
    const { aliases } = this.#options
    if (!Object.hasOwn(aliases, name)) return name
    const isOwn = this.#components.engine.status().some((status) => status.name === name)
    return (isOwn ? undefined : aliases[name]) ?? name
  }

  #now(): number {
    return this.#components.clock.elapsed()
  }

  #see(...names: string[]): void {
    for (const name of names) {
      this.#firstSeen.set(name, this.#since(name))
    }
  }

  /** Seconds since the epoch; now for what was never seen. */
  #since(name: string): number {
    return this.#firstSeen.get(name) ?? Math.floor(this.#components.clock.now() / 1000)
  }

  #remembered(name: string): MarketModel | undefined {
    const gone = this.#gone.get(name) ?? this.#gone.get(this.idOf(name))
    if (gone === undefined || this.#now() - gone.goneAt > REMEMBERED_MS) return undefined
    return { ...gone.row, name }
  }

  /**
   * Counted are the parts of the internet where it is served: ids of peers cost nothing.
   * Who serves an id by another name has no say in what this one means: else a single peer gives a
   * known name to a model that many serve. Nor have any number of newcomers: where nobody was
   * measured, the name goes on meaning what it meant.
   */
  #mostServed(name: string): string {
    const { directory, isGood } = this.#components
    const served = new Map<string, { id: string; good: number; nets: Set<string>; since: number }>()
    for (const { peerId, advert, net = peerId } of directory.byModelName(name)) {
      for (const { id } of advert.models.filter((model) => model.name === name)) {
        const since = Math.floor(this.#since(meaning(name, id)) / SAME_AGE_S)
        const { good, nets } = served.get(id) ?? { good: 0, nets: new Set() }
        nets.add(net)
        served.set(id, { id, good: good + Number(isGood(peerId, id)), nets, since })
      }
    }
    const [best] = [...served.values()].sort(
      (a, b) =>
        b.good - a.good || a.since - b.since || b.nets.size - a.nets.size || (a.id < b.id ? -1 : 1),
    )
    return best?.id ?? ''
  }

  #offers(id: string): Offer[] {
    return this.#components.directory.byModelId(id).flatMap((entry) => {
      const model = offered(entry, id)
      return model === undefined || entry.peerId === this.#options.peerId ? [] : { entry, model }
    })
  }

  /** Undefined where nobody offers it. */
  #row(name: string, id: string, offers: readonly Offer[]): MarketModel | undefined {
    const first = this.#believed(id, offers)
    if (first === undefined) return undefined
    return {
      name,
      id,
      kind: first.kind as ModelKind,
      contextLength: Math.max(...offers.map(({ model }) => model.contextLength)),
      embeddingLength: first.embeddingLength,
      capabilities: union(capabilitiesIn(offers)),
      created: this.#since(name),
      local: undefined,
      nodes: offers.filter(({ entry }) => isUsable(entry, id)).length,
      price: cheapest(offers.map(({ model }) => model.price)),
    }
  }

  /** What one that proved itself says the model is, or else what most say. */
  #believed(id: string, offers: readonly Offer[]): AdvertModel | undefined {
    const good = offers.find(({ entry }) => this.#components.isGood(entry.peerId, id))
    const said = Map.groupBy(offers, ({ model }) => `${model.kind} ${model.embeddingLength}`)
    const [most = []] = [...said.values()].sort((a, b) => b.length - a.length)
    return (good ?? most[0])?.model
  }

  #local(status: ModelStatus): MarketModel {
    const { name, id, facts, created } = status
    const capabilities = capabilitiesOf(status)
    const own = {
      name,
      id,
      kind: facts?.kind,
      contextLength: facts?.contextLength,
      embeddingLength: facts?.embeddingLength,
      capabilities,
      created,
      local: status,
      nodes: status.state === 'failed' ? 0 : 1,
      price: this.#options.price,
    }
    const offers = id === undefined ? [] : this.#offers(id)
    // Most models of this machine are nobody else's, and each request looks for its own.
    if (offers.length === 0) return own
    return {
      ...own,
      capabilities: capabilities && union([capabilities, ...capabilitiesIn(offers)]),
      nodes: own.nodes + offers.filter(({ entry }) => isUsable(entry, id ?? '')).length,
      price: cheapest([own.price, ...offers.map(({ model }) => model.price)]),
    }
  }
}

/** The model of this id as the peer advertises it; undefined for kinds that are unknown here. */
export function offered({ advert }: DirectoryEntry, id: string): AdvertModel | undefined {
  const model = advert.models.find((each) => each.id === id)
  return model?.kind === 'chat' || model?.kind === 'embedding' ? model : undefined
}

/** Neither about to leave nor still loading, as far as it says. */
export function isUsable({ status }: DirectoryEntry, id: string): boolean {
  if (status === undefined) return true
  return !status.draining && status.models.find((each) => each.id === id)?.ready !== false
}

const capabilitiesIn = (offers: readonly Offer[]): (readonly string[])[] =>
  offers.map(({ model }) => model.capabilities)

const union = (lists: readonly (readonly string[])[]): readonly string[] => [
  ...new Set(lists.flat()),
]

function cheapest(prices: readonly Price[]): Price | undefined {
  const sum = ({ input, output }: Price) => input + output
  return prices.reduce<Price | undefined>(
    (least, price) => (least === undefined || sum(price) < sum(least) ? price : least),
    undefined,
  )
}

/** A name has no spaces. */
const meaning = (name: string, id: string): string => `${name} ${id}`
