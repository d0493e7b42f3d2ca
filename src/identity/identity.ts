import { createHmac, createPrivateKey, type KeyObject, sign as nodeSign } from 'node:crypto'
import { getPublicKey, hashes } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { InvalidError } from '../base/errors.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import { LaterSigner } from './later-signer.ts'

hashes.sha512 = sha512

/** This peer's key. What is signed with it is said by this peer. */
export interface Identity {
  readonly publicKey: Uint8Array
  readonly peerId: string
  /** 64 bytes, RFC 8032: the same message gives the same signature. */
  sign(message: Uint8Array): Uint8Array
  /** The same, with all that is asked for at about the same time: in another thread where that is much. */
  signLater(message: Uint8Array): Promise<Uint8Array>
  /** 32 bytes that only this peer can make, the same each time; one kind for each purpose. */
  secretFor(purpose: string): Uint8Array
  /** The secret itself, 32 bytes. Only the network host needs it, for its handshakes. */
  privateKeySeed(): Uint8Array
}

export function identityFromSeed(seed: Uint8Array): Identity {
  if (seed.length !== 32) {
    throw new InvalidError('seed', `A key's seed has 32 bytes, not ${seed.length}.`)
  }
  return new SeedIdentity(seed.slice())
}

/** What DER puts before the 32 bytes of an Ed25519 private key. */
const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Private fields keep the seed out of logs, JSON and `util.inspect`. */
class SeedIdentity implements Identity {
  readonly publicKey: Uint8Array
  readonly peerId: string
  readonly #seed: Uint8Array
  readonly #key: KeyObject
  readonly #later: LaterSigner

  constructor(seed: Uint8Array) {
    this.#seed = seed
    this.publicKey = getPublicKey(seed)
    this.peerId = peerIdOf(this.publicKey)
    const der = Buffer.concat([PKCS8_HEADER, seed])
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    this.#later = new LaterSigner((message) => this.sign(message), der)
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(nodeSign(null, message, this.#key))
  }

  signLater(message: Uint8Array): Promise<Uint8Array> {
    return this.#later.sign(message)
  }

  secretFor(purpose: string): Uint8Array {
    return new Uint8Array(createHmac('sha256', this.#seed).update(`PNV1|${purpose}`).digest())
  }

  privateKeySeed(): Uint8Array {
    return this.#seed.slice()
  }
}
