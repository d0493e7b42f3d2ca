import type { Clock } from '../../src/base/clock.ts'
import type { Identity } from '../../src/identity/identity.ts'
import type { FrameStream, Network } from '../../src/network/network.ts'
import type { Advert, AdvertModel } from '../../src/wire/advert.ts'
import {
  decodeAdvertRequest,
  encodeAdvertRequest,
  signAdvert,
  signDeparture,
} from '../../src/wire/advert-codec.ts'
import { protocols } from '../../src/wire/protocols.ts'
import type { ModelLoad } from '../../src/wire/status.ts'
import { encodeStatus } from '../../src/wire/status-codec.ts'
import { type Line, lineOpener } from '../market/provider-line.ts'

/** An honest one says its load about so often. */
const STATUS_EVERY_MS = 1_000
const limits = { streamsMax: 256, opensPerSecond: 1_000 }

export interface HostileParts {
  /** Not started yet. */
  network: Network
  identity: Identity
  clock: Clock
  /** The network's name. */
  name: string
}

/** What it says of itself. */
export interface Claims {
  models?: AdvertModel[]
  load?: ModelLoad[]
  advert?: Partial<Advert>
  statusEveryMs?: number
}

/** A peer that does to others what no honest one does, over whatever network there is. */
export class HostilePeer {
  readonly network: Network
  readonly identity: Identity
  readonly peerId: string
  /** Jobs that reached it. */
  readonly lines: Line[] = []
  /** Peers that wanted to be told its load. */
  watched = 0
  readonly #parts: HostileParts
  readonly #claims: Claims
  #sequence = 0

  /** `serve`: what it does with a job. */
  constructor(parts: HostileParts, serve: (line: Line) => Promise<void>, claims: Claims = {}) {
    const { network, identity, clock, name } = parts
    this.network = network
    this.identity = identity
    this.peerId = identity.peerId
    this.#parts = parts
    this.#claims = claims
    const open = lineOpener({ identity, clock, network: name })
    const work = async (stream: FrameStream) => {
      const line = await open(stream)
      this.lines.push(line)
      await serve(line)
    }
    network.handle(protocols.generate, work, limits)
    network.handle(protocols.advert, (stream) => this.#introduce(stream), limits)
    network.handle(protocols.status, (stream) => this.#boast(stream), limits)
  }

  /** Signed by itself, of itself. */
  signedAdvert(more: Partial<Advert> = {}): Uint8Array {
    const { models = [], advert } = this.#claims
    const full: Advert = {
      peerId: this.peerId,
      sequence: ++this.#sequence,
      ttlS: 60,
      addresses: this.network.status().addrs.map((address) => address.replace(/\/p2p\/.*$/, '')),
      roles: models.length > 0 ? ['provider'] : ['client'],
      hardware: { gpus: [], cpu: 'A good one', cpuThreads: 2, ramBytes: 1024, backend: 'cpu' },
      models,
      version: '1.2.3',
      ...advert,
      ...more,
    }
    return signAdvert(full, this.#signing)
  }

  /** Tells `to` that `peerId` leaves; only that one itself could sign it. */
  async slander(to: string, peerId: string): Promise<void> {
    const signed = signDeparture({ peerId, sequence: 0xffff_ffff }, this.#signing)
    const { signal } = new AbortController()
    const stream = await this.network.open(to, protocols.advert, { signal })
    stream.write(encodeAdvertRequest({ type: 'departure', signed }))
    await stream.close()
    await stream.read({ signal }).catch(() => undefined)
  }

  get #signing() {
    const { identity, name } = this.#parts
    return { network: name, sign: (message: Uint8Array) => identity.sign(message) }
  }

  async #introduce(stream: FrameStream): Promise<void> {
    const frame = await stream.read({ signal: stream.ended })
    if (frame !== undefined && decodeAdvertRequest(frame)?.type === 'ask') {
      stream.write(this.signedAdvert())
    }
  }

  async #boast(stream: FrameStream): Promise<void> {
    const { load = [], statusEveryMs = STATUS_EVERY_MS } = this.#claims
    this.watched++
    while (!stream.ended.aborted) {
      const advertSequence = this.#sequence
      stream.write(encodeStatus({ advertSequence, draining: false, models: load }))
      await this.#parts.clock.sleep(statusEveryMs, stream.ended)
    }
  }
}
