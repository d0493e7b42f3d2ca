import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { newId } from '../../base/ids.ts'
import type { Random } from '../../base/random.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import type { AccountEventType } from '../events.ts'
import {
  type Endpoint,
  type EndpointHealth,
  type EndpointRow,
  endpointRows,
  healthRows,
  newHealth,
  wants,
} from './endpoint-record.ts'
import { GIVE_UP_MS } from './retry.ts'
import { newSecret } from './signature.ts'

export interface EndpointComponents {
  store: Store
  clock: Clock
  random: Random
}

export const defaultEndpoints = {
  /** Each gets every event that it asks for: what one event can set off. */
  perAccountMax: 16,
  /** All are in memory, up to 3 KB each. */
  endpointsMax: 10_000,
  /** Both secrets sign for so long after a rotation: time to bring the new one to the receiver. */
  overlapMs: 24 * 60 * 60 * 1000,
}

export type EndpointOptions = typeof defaultEndpoints

/** What its holder decides, checked. */
export type EndpointChoices = Pick<EndpointRow, 'name' | 'url' | 'eventTypes'> & {
  disabled: boolean
}

interface Entry {
  row: EndpointRow
  health: EndpointHealth
}

const none: readonly Entry[] = []

/** The webhook endpoints of all accounts, in memory and on the disk. */
export class Endpoints {
  readonly #components: EndpointComponents
  readonly #options: EndpointOptions
  readonly #rows: Table<string, EndpointRow>
  readonly #healths: Table<string, EndpointHealth>
  readonly #byId = new Map<string, Entry>()
  /** In order of creation. */
  readonly #byAccount = new Map<string, Entry[]>()
  /** Changes happen one after the other, each seeing what the last one did. */
  #lastChange: Promise<unknown> = Promise.resolve()

  private constructor(components: EndpointComponents, options: EndpointOptions) {
    this.#components = components
    this.#options = options
    this.#rows = components.store.table('webhooks-endpoints', endpointRows)
    this.#healths = components.store.table('webhooks-health', healthRows)
  }

  static async open(
    components: EndpointComponents,
    options: Partial<EndpointOptions> = {},
  ): Promise<Endpoints> {
    const endpoints = new Endpoints(components, { ...defaultEndpoints, ...options })
    for await (const [, row] of endpoints.#rows.range()) endpoints.#remember(row)
    for await (const [id, health] of endpoints.#healths.range()) {
      const entry = endpoints.#byId.get(id)
      if (entry !== undefined) entry.health = health
      else await endpoints.#healths.del(id)
    }
    return endpoints
  }

  /** The ids of those that want to hear of such an event; undefined: the account has none at all. */
  wanting(account: string, type: AccountEventType): string[] | undefined {
    const entries = this.#byAccount.get(account)
    return entries?.filter(({ row }) => wants(row, type)).map(({ row }) => row.id)
  }

  /** Those of an account, oldest first. */
  of(account: string): Endpoint[] {
    return (this.#byAccount.get(account) ?? none).map(shown)
  }

  find(id: string): Endpoint | undefined {
    const entry = this.#byId.get(id)
    return entry && shown(entry)
  }

  /** Whether the last attempt failed. */
  failing(id: string): boolean {
    return (this.#byId.get(id)?.health.failureCount ?? 0) > 0
  }

  /** Throws `webhook_not_found`, also for another account's. */
  get(account: string, id: string): Endpoint {
    return shown(this.#own(account, id))
  }

  create(account: string, choices: EndpointChoices): Promise<Endpoint> {
    return this.#inTurn(async () => {
      this.#checkRoom(account)
      const { clock, random } = this.#components
      const now = clock.now()
      const { disabled, ...said } = choices
      const row: EndpointRow = {
        ...{ id: newId('whend', clock, random), account, ...said },
        ...{ secret: newSecret(random), previous: null },
        ...{ createdAt: now, updatedAt: now, disabledAt: disabled ? now : null },
      }
      await this.#commit((batch) => batch.put(this.#rows, row.id, row))
      return shown(this.#remember(row))
    })
  }

  update(account: string, id: string, choices: Partial<EndpointChoices>): Promise<Endpoint> {
    return this.#inTurn(async () => {
      const entry = this.#own(account, id)
      const { disabled, ...said } = choices
      const { row } = entry
      const now = this.#now()
      const disabledAt = disabled ? (row.disabledAt ?? now) : null
      const next = {
        ...{ ...row, ...said, updatedAt: now },
        ...(disabled === undefined ? {} : { disabledAt }),
      }
      // Whoever switches it on again gives it all the time there is.
      const afresh = row.disabledAt !== null && next.disabledAt === null
      await this.#save(entry, next, afresh ? { failureCount: 0, failingSince: null } : {})
      return shown(entry)
    })
  }

  /** The new secret signs from now on, and the old one beside it for a day. */
  rotate(account: string, id: string): Promise<Endpoint> {
    return this.#inTurn(async () => {
      const entry = this.#own(account, id)
      const { random } = this.#components
      const now = this.#now()
      const previous = { secret: entry.row.secret, until: now + this.#options.overlapMs }
      await this.#save(entry, {
        ...{ ...entry.row, secret: newSecret(random), previous, updatedAt: now },
      })
      return shown(entry)
    })
  }

  remove(account: string, id: string): Promise<void> {
    return this.#inTurn(async () => {
      const entry = this.#own(account, id)
      await this.#commit((batch) => batch.del(this.#rows, id).del(this.#healths, id))
      this.#byId.delete(id)
      const rest = (this.#byAccount.get(account) ?? none).filter((each) => each !== entry)
      if (rest.length > 0) this.#byAccount.set(account, rest)
      else this.#byAccount.delete(account)
    })
  }

  /** Nothing is sent to it any more until its holder says so. */
  disable(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const entry = this.#byId.get(id)
      if (entry === undefined || entry.row.disabledAt !== null) return
      await this.#save(entry, { ...entry.row, disabledAt: this.#now() })
    })
  }

  /** How an attempt went. Says whether it is time to give the endpoint up. */
  fared(id: string, succeeded: boolean, batch: Batch): { giveUp: boolean } {
    const entry = this.#byId.get(id)
    if (entry === undefined) return { giveUp: false }
    const now = this.#now()
    const { health } = entry
    const failingSince = succeeded ? null : (health.failingSince ?? now)
    entry.health = {
      lastSuccessAt: succeeded ? now : health.lastSuccessAt,
      lastFailureAt: succeeded ? health.lastFailureAt : now,
      failureCount: succeeded ? 0 : health.failureCount + 1,
      failingSince,
    }
    batch.put(this.#healths, id, entry.health)
    return { giveUp: failingSince !== null && now - failingSince >= GIVE_UP_MS }
  }

  #own(account: string, id: string): Entry {
    const entry = this.#byId.get(id)
    if (entry?.row.account === account) return entry
    throw new PeerError('webhook_not_found', 'There is no such webhook. List them to see all.')
  }

  #checkRoom(account: string): void {
    const { perAccountMax, endpointsMax } = this.#options
    if ((this.#byAccount.get(account)?.length ?? 0) >= perAccountMax) {
      const message = `An account has up to ${perAccountMax} webhooks. Delete one that is not needed.`
      throw new PeerError('too_many_webhooks', message)
    }
    if (this.#byId.size >= endpointsMax) {
      const message = `This peer holds ${endpointsMax} webhooks, its limit. Ask its owner.`
      throw new PeerError('too_many_webhooks', message)
    }
  }

  #remember(row: EndpointRow): Entry {
    const entry = { row, health: newHealth }
    this.#byId.set(row.id, entry)
    const others = this.#byAccount.get(row.account)
    if (others === undefined) this.#byAccount.set(row.account, [entry])
    else others.push(entry)
    return entry
  }

  /** On the disk first: what memory says has then happened. */
  async #save(entry: Entry, row: EndpointRow, health: Partial<EndpointHealth> = {}): Promise<void> {
    const healed = { ...entry.health, ...health }
    await this.#commit((batch) =>
      batch.put(this.#rows, row.id, row).put(this.#healths, row.id, healed),
    )
    entry.row = row
    entry.health = { ...entry.health, ...health }
  }

  #commit(fill: (batch: Batch) => Batch): Promise<void> {
    const { store } = this.#components
    return store.commit(fill(store.batch()))
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#lastChange.then(change)
    this.#lastChange = done.catch(() => {})
    return done
  }

  #now(): number {
    return this.#components.clock.now()
  }
}

const shown = ({ row, health }: Entry): Endpoint => ({ ...row, ...health })
