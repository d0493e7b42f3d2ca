import type { Clock } from '../../base/clock.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Advert, AdvertModel } from '../../wire/advert.ts'
import { signAdvert, signDeparture } from '../../wire/advert-codec.ts'
import type { Sign } from '../../wire/signed.ts'
import type { Network } from '../network.ts'
import { Rounds } from './rounds.ts'

/** How long readers may list this peer without hearing of it again; they bound it themselves. */
const TTL_S = 60
/** Whoever watches this peer asks for each new advert. */
const SIGN_EVERY_MS = 1_000
/** A peer is reached at one of the first few, or not at all. */
const ADDRESSES_MAX = 8

/** What the parts above know of this peer. */
export type AdvertFacts = Omit<Advert, 'peerId' | 'sequence' | 'ttlS' | 'addresses'>

export interface Signer {
  readonly peerId: string
  sign: Sign
}

/** Where the sequence outlives the process: though the clock is set back, it never is. */
export interface SequenceStore {
  get(peerId: string): Promise<number | undefined>
  put(peerId: string, sequence: number): Promise<void>
}

export interface OwnAdvertComponents {
  network: Pick<Network, 'status'>
  identity: Signer
  describe(): AdvertFacts
  sequences: SequenceStore
  clock: Clock
  logger: Logger
}

export interface SignedAdvert {
  advert: Advert
  signed: Uint8Array
}

/** What this peer says of itself, signed anew when it changes. */
export class OwnAdvert {
  readonly #components: OwnAdvertComponents
  readonly #network: string
  readonly #rounds: Rounds
  readonly #listeners: (() => void)[] = []
  readonly #opened = Promise.withResolvers<void>()
  #sequence = 0
  #current: SignedAdvert | undefined
  /** What went into it: each new one is asked for by all who watch this peer. */
  #said = ''
  #departed = false

  /** @param options.network The network's name, which every signature binds. */
  constructor(components: OwnAdvertComponents, options: { network: string }) {
    this.#components = components
    this.#network = options.network
    const renew = async () => {
      await this.#renew()
      return Number.POSITIVE_INFINITY
    }
    this.#rounds = new Rounds(components.clock, renew, { gapMs: SIGN_EVERY_MS })
  }

  /** Signs the first one. */
  async open(): Promise<void> {
    const { sequences, identity, logger } = this.#components
    try {
      this.#sequence = (await sequences.get(identity.peerId)) ?? 0
    } catch (error) {
      logger.warn('the sequence of the last advert cannot be read', { error: messageOf(error) })
    }
    await this.#renew()
    this.#opened.resolve()
  }

  /** Resolves once there was a chance to sign the first. */
  get opened(): Promise<void> {
    return this.#opened.promise
  }

  /** Of the one that is given to readers. */
  get sequence(): number {
    return this.#current?.advert.sequence ?? this.#sequence
  }

  /** Signs a new one whenever something has changed. */
  run(signal: AbortSignal): Promise<void> {
    return this.#rounds.run(signal)
  }

  /** Undefined before the first. */
  get current(): SignedAdvert | undefined {
    return this.#current
  }

  /** The one for somebody who asks; refused once this peer has said that it leaves. */
  async forReader(): Promise<Uint8Array> {
    await this.opened
    if (this.#departed || this.#current === undefined) {
      throw new PeerError('leaving', 'This peer is about to stop.')
    }
    return this.#current.signed
  }

  /** Something in it is different: a new one is signed, at most one a second. */
  changed(): void {
    this.#rounds.soon(0)
  }

  /** Nobody tells when this peer's addresses change, so they are looked at now and then. */
  checkAddresses(): void {
    const before = this.#current?.advert.addresses ?? []
    if (this.#addresses().join() !== before.join()) this.changed()
  }

  /** This peer's own signature was seen under such a sequence: one of an earlier life. */
  outgrow(sequence: number): void {
    if (sequence < this.#sequence) return
    this.#sequence = sequence
    this.changed()
  }

  /** The signed departure. From here on the advert is given to nobody any more. */
  async depart(): Promise<Uint8Array> {
    this.#departed = true
    const { peerId, sign } = this.#signer()
    const sequence = await this.#nextSequence()
    return signDeparture({ peerId, sequence }, { network: this.#network, sign })
  }

  /** Called after each that is signed. */
  onSigned(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async #renew(): Promise<void> {
    const { describe, logger } = this.#components
    const facts = describe()
    const said = JSON.stringify([facts, this.#addresses()])
    const outgrown = this.#sequence > this.sequence
    if (this.#departed || (said === this.#said && !outgrown)) return
    const sequence = await this.#nextSequence()
    try {
      this.#current = this.#signed(facts, sequence)
      this.#said = said
    } catch (error) {
      logger.error('the advert cannot be signed; peers see the last one', {
        error: messageOf(error),
      })
      return
    }
    for (const listener of this.#listeners) listener()
  }

  #signed(facts: AdvertFacts, sequence: number): SignedAdvert {
    const { peerId, sign } = this.#signer()
    const own = { peerId, sequence, ttlS: TTL_S, addresses: this.#addresses() }
    const withModels = (models: AdvertModel[]): SignedAdvert => {
      const advert: Advert = { ...facts, ...own, models }
      return { advert, signed: signAdvert(advert, { network: this.#network, sign }) }
    }
    try {
      return withModels(facts.models)
    } catch {
      return withModels(this.#fitting(facts.models, withModels))
    }
  }

  /** Each model that the advert still takes after those before it. */
  #fitting(all: readonly AdvertModel[], sign: (models: AdvertModel[]) => unknown): AdvertModel[] {
    const fitting: AdvertModel[] = []
    for (const model of all) {
      try {
        sign([...fitting, model])
        fitting.push(model)
      } catch (error) {
        const message = 'the advert does not take this model; peers do not learn of it'
        this.#components.logger.warn(message, { model: model.name, error: messageOf(error) })
      }
    }
    return fitting
  }

  #addresses(): string[] {
    const { addrs } = this.#components.network.status()
    const plain = addrs.map((address) => address.replace(/\/p2p\/[^/]+$/, ''))
    return [...new Set(plain)].slice(0, ADDRESSES_MAX)
  }

  /** Higher than any before, and kept before it is used. */
  async #nextSequence(): Promise<number> {
    const { clock, sequences, identity, logger } = this.#components
    this.#sequence = Math.max(clock.now(), this.#sequence + 1)
    const sequence = this.#sequence
    try {
      await sequences.put(identity.peerId, sequence)
    } catch (error) {
      logger.warn('the sequence of this advert cannot be kept', { error: messageOf(error) })
    }
    return sequence
  }

  #signer(): Signer {
    const { identity } = this.#components
    return { peerId: identity.peerId, sign: (message) => identity.sign(message) }
  }
}
