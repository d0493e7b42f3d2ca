import { createHmac, createPrivateKey, type KeyObject, sign as nodeSign } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { getPublicKey, hashes } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { InvalidError } from '../base/errors.ts'
import { peerIdOf } from '../wire/peer-id.ts'

hashes.sha512 = sha512

/** This peer's key. What is signed with it is said by this peer. */
export interface Identity {
  readonly publicKey: Uint8Array
  readonly peerId: string
  /** 64 bytes, RFC 8032: the same message gives the same signature. */
  sign(message: Uint8Array): Uint8Array
  /** The same; where there are processors to spare, in another thread, and this one is free meanwhile. */
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

/** On two processors, waking another thread takes longer than to sign. */
const HAS_SPARE = availableParallelism() > 2

/** Private fields keep the seed out of logs, JSON and `util.inspect`. */
class SeedIdentity implements Identity {
  readonly publicKey: Uint8Array
  readonly peerId: string
  readonly #seed: Uint8Array
  readonly #key: KeyObject

  constructor(seed: Uint8Array) {
    this.#seed = seed
    this.publicKey = getPublicKey(seed)
    this.peerId = peerIdOf(this.publicKey)
    const der = Buffer.concat([PKCS8_HEADER, seed])
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(nodeSign(null, message, this.#key))
  }

  async signLater(message: Uint8Array): Promise<Uint8Array> {
    if (!HAS_SPARE) return this.sign(message)
    return await new Promise((resolve, reject) => {
      nodeSign(null, message, this.#key, (error, signature) => {
        if (error) reject(error)
        else resolve(new Uint8Array(signature))
      })
    })
  }

  secretFor(purpose: string): Uint8Array {
    return new Uint8Array(createHmac('sha256', this.#seed).update(`PNV1|${purpose}`).digest())
  }

  privateKeySeed(): Uint8Array {
    return this.#seed.slice()
  }
}
