import { parseCid } from '../wire/cid.ts'
import { decodeEntry, tryToReadBody } from '../wire/entry.ts'
import type { FeedStore } from './feeds/feed-store.ts'
import type { RequestIndex } from './requests.ts'

export interface RoutedComponents {
  feeds: Pick<FeedStore, 'find' | 'entry'>
  requests: Pick<RequestIndex, 'all'>
}

/** What this peer's own log says of the requests of its accounts, for who audits their charges. */
export class RoutedLog {
  readonly #components: RoutedComponents
  readonly #author: Uint8Array

  constructor(components: RoutedComponents, { author }: { author: Uint8Array }) {
    this.#components = components
    this.#author = author
  }

  /** Of a routing entry, by its CID; undefined where it is not there any more. */
  async routed(cid: string): Promise<{ jobId: string; amount: number } | undefined> {
    const { feeds } = this.#components
    const { digest } = parseCid(cid)
    const options = { limit: 1, withPrivate: true, author: this.#author }
    const [place] = await feeds.find('entry', digest, options)
    const row = place && (await feeds.entry(place))
    const read = row && tryToReadBody(decodeEntry(row.bytes).entry)
    if (read?.kind !== 'routing') return undefined
    const { jobId, amount } = read.body
    return { jobId, amount }
  }

  /** The CIDs of those that say what became of a request. */
  async *answered(options: { signal: AbortSignal }): AsyncGenerator<string> {
    for await (const { cid } of this.#components.requests.all(options)) yield cid.toString()
  }
}
