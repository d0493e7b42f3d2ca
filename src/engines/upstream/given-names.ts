import { jsonValue, textKey } from '../../storage/codec.ts'
import type { TableCodec } from '../../storage/table.ts'

/**
 * Names of models here, what their server calls those models, and whether it had them when it was last asked.
 * What was named last stands last.
 */
export type NamedIds = readonly (readonly [name: string, id: string, isThere: boolean])[]

/** Where they outlive the process, under the name of each server. */
export interface GivenNamesStore {
  get(upstream: string): Promise<NamedIds | undefined>
  put(upstream: string, names: NamedIds): Promise<void>
}

/** How they are kept in the database. */
export const givenNamesRows: TableCodec<string, NamedIds> = {
  key: textKey,
  value: jsonValue((value) => {
    if (Array.isArray(value) && value.every(isNamed)) return value
    throw new TypeError('no names of models')
  }),
}

function isNamed(row: unknown): boolean {
  if (!Array.isArray(row)) return false
  const [name, id, isThere] = row as unknown[]
  return typeof name === 'string' && typeof id === 'string' && typeof isThere === 'boolean'
}

/** Some times as many as are served: those that come and go keep theirs. */
const NAMES_MAX = 256
const NAME_CHARS_MAX = 128

/**
 * What the models of one server are called here. A model keeps the name that it was given first: `NAME`, where
 * it was alone, else `NAME/<its id>`. Another takes `NAME` over only where it comes in the place of the first,
 * alone and without a name.
 */
export class GivenNames {
  readonly #upstream: string
  readonly #ids: Map<string, string>
  #there: Set<string>

  constructor(upstream: string, known: NamedIds = []) {
    this.#upstream = upstream
    this.#ids = new Map(known.map(([name, id]) => [name, id]))
    this.#there = new Set(known.flatMap(([name, _, isThere]) => (isThere ? [name] : [])))
  }

  get all(): NamedIds {
    return [...this.#ids].map(([name, id]) => [name, id, this.#there.has(name)])
  }

  /** Names of those that the server had when it was last asked. */
  get there(): ReadonlySet<string> {
    return this.#there
  }

  has(id: string): boolean {
    return this.#nameOf(id) !== undefined
  }

  /** A name for each of those that the server has now; none for an id of which no name can be made. */
  give(listed: readonly string[]): Map<string, string> {
    const given = new Map<string, string>()
    for (const id of listed) {
      const name = this.#nameOf(id)
      if (name !== undefined) given.set(id, name)
    }
    const taken = new Set(given.values())
    for (const id of listed) {
      if (given.has(id)) continue
      const name = listed.length === 1 ? this.#upstream : longName(this.#upstream, id)
      if (name === undefined || taken.has(name)) continue
      taken.add(name)
      given.set(id, name)
      this.#ids.delete(name)
      this.#ids.set(name, id)
    }
    this.#there = taken
    this.#forget()
    return given
  }

  #nameOf(id: string): string | undefined {
    for (const [name, other] of this.#ids) if (other === id) return name
    return undefined
  }

  /** The oldest of those that are not there now. */
  #forget(): void {
    for (const name of this.#ids.keys()) {
      if (this.#ids.size <= NAMES_MAX) return
      if (!this.#there.has(name) && name !== this.#upstream) this.#ids.delete(name)
    }
  }
}

/** `NAME/<its id>`, of the characters that a name may have; undefined where nothing is left of it. */
export function longName(upstream: string, id: string): string | undefined {
  const plain = id.replace(/[^A-Za-z0-9._:/-]+/g, '-').replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
  const parts = plain.split('/').filter((part) => !/^\.{0,2}$/.test(part))
  const name = [upstream, ...parts].join('/')
  return parts.length === 0 || name.length > NAME_CHARS_MAX ? undefined : name
}
