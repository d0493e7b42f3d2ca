import type { KadDHT, QueryEvent } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { PeerHint, Wait } from '../network.ts'
import { parsePeerId } from './connections.ts'
import { hintOf } from './hints.ts'
import { KadInside } from './kad-inside.ts'
import type { HostNode } from './libp2p-node.ts'
import { dhtLimits as limits } from './limits.ts'
import { Providers } from './providers.ts'
import type { Records } from './records.ts'

export interface DhtComponents {
  node: HostNode
  peerId: string
  random: Random
  records: Records
  clock: Clock
  /** Peers of this network that are connected: without any, nobody can be asked. */
  peers(): number
}

/** So many copies of a record are compared; each is verified. */
const COPIES_ENOUGH = 3

/** The distributed hash table: where to look for peers. All that it says is anybody's claim. */
export class Dht {
  readonly #components: DhtComponents
  readonly #kad: KadDHT
  readonly #providers: Providers

  constructor(components: DhtComponents) {
    this.#components = components
    const { node, clock, random } = components
    const kad = node.services.dht
    this.#kad = kad
    this.#providers = new Providers({
      kad,
      inside: new KadInside(kad),
      self: () => ({ id: node.peerId, addresses: node.getMultiaddrs() }),
      clock,
      random,
    })
    node.addEventListener('peer:connect', ({ detail }) => this.#providers.came(`${detail}`))
  }

  async provide(key: Uint8Array, wait: Wait): Promise<void> {
    const cid = await cidOf(key)
    await this.#store(wait, (signal) => this.#providers.provide(cid, signal))
  }

  /** Those that were told keep it for two days; they are not told again. */
  async unprovide(key: Uint8Array): Promise<void> {
    await this.#kad.cancelReprovide(await cidOf(key))
  }

  async *findProviders(
    key: Uint8Array,
    { signal, wide = false }: Wait & { wide?: boolean },
  ): AsyncGenerator<PeerHint> {
    const cid = await cidOf(key)
    const find = (soon: AbortSignal) => this.#providers.find(cid, { signal: soon, wide })
    for await (const hint of this.#within({ signal }, find)) {
      if (hint.peerId !== this.#components.peerId) yield hint
    }
  }

  async putRecord(kind: string, value: Uint8Array, wait: Wait): Promise<void> {
    const { peerId, records } = this.#components
    await records.check(kind, peerId, value)
    await this.#store(wait, async (signal) => {
      let kept = 0
      for await (const event of this.#kad.put(records.key(kind, peerId), value, {
        signal,
      })) {
        const answer = event as QueryEvent
        if (answer.name === 'PEER_RESPONSE' && answer.messageName === 'PUT_VALUE') kept++
      }
      return kept
    })
  }

  async getRecord(kind: string, peerId: string, wait: Wait): Promise<Uint8Array | undefined> {
    const { records } = this.#components
    const key = records.key(kind, peerId)
    const copies: Uint8Array[] = []
    try {
      for await (const event of this.#within(wait, (signal) => this.#kad.get(key, { signal }))) {
        if (event.name === 'VALUE') copies.push(event.value)
        if (event.name === 'PEER_RESPONSE' && event.record) copies.push(event.record.value)
        if (copies.length === COPIES_ENOUGH) break
      }
    } catch (error) {
      // What came before the time was up is as good.
      if (copies.length === 0) throw error
    }
    let newest: { value: Uint8Array; sequence: number } | undefined
    for (const value of copies) {
      const sequence = await records.check(kind, peerId, value).catch(() => undefined)
      if (sequence !== undefined && sequence >= (newest?.sequence ?? 0)) {
        newest = { value, sequence }
      }
    }
    return newest?.value
  }

  async findPeer(peerId: string, wait: Wait): Promise<string[]> {
    const id = parsePeerId(peerId)
    const find = (signal: AbortSignal) => this.#kad.findPeer(id, { signal, useCache: false })
    try {
      for await (const event of this.#within(wait, find)) {
        if (event.name === 'FINAL_PEER') return hintOf(event.peer).addresses
      }
    } catch (error) {
      if ((error as Error).name !== 'NotFoundError') throw error
    }
    return []
  }

  /** What a query tells on its way, within the time for a look-up. Leaving it ends the query. */
  async *#within<T>(wait: Wait, query: (signal: AbortSignal) => AsyncIterable<T>) {
    this.#assertNotAlone()
    const limit = new AbortController()
    const onAbort = () => limit.abort(wait.signal.reason)
    wait.signal.throwIfAborted()
    wait.signal.addEventListener('abort', onAbort, { once: true })
    const cancel = this.#components.clock.after(limits.lookupMs, () => limit.abort(late()))
    try {
      yield* query(limit.signal)
    } catch (error) {
      limit.signal.throwIfAborted()
      throw error
    } finally {
      limit.abort(new PeerError('done', 'Nobody asks any more.'))
      cancel()
      wait.signal.removeEventListener('abort', onAbort)
    }
  }

  async #store(wait: Wait, run: (signal: AbortSignal) => Promise<number>): Promise<void> {
    this.#assertNotAlone()
    const limit = { ms: limits.storeMs, what: 'Telling the DHT', signal: wait.signal }
    const kept = await within(this.#components.clock, limit, async (signal) => {
      try {
        return await run(signal)
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    })
    if (kept === 0) throw new PeerError('not_stored', 'No peer of the DHT has taken it.')
  }

  #assertNotAlone(): void {
    if (this.#components.peers() === 0) {
      throw new PeerError('alone', 'No peer is connected that could be asked.')
    }
  }
}

function late(): PeerError {
  return new PeerError('deadline_exceeded', `The DHT took longer than ${limits.lookupMs} ms.`)
}

async function cidOf(key: Uint8Array): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(key))
}
