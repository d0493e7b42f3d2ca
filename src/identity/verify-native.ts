import { createPublicKey, type KeyObject, verify as nodeVerify } from 'node:crypto'
import type { Verify } from '../wire/signed.ts'
import { isPublicKey, isSignature } from './verify.ts'

/** About 1 KB each; a peer talks to far fewer peers at a time. */
const KEYS_MAX = 4096

export interface VerifyOptions {
  /** Remembers so many keys of its own. Otherwise all that verify here remember them together. */
  keysMax?: number
}

/**
 * `verify` with Node's OpenSSL, some 25 times as fast. OpenSSL compares R byte for byte and refuses
 * S >= L; what its versions differ on is checked here: odd keys, once per key, and the neutral R.
 */
export function createVerifyNative(options: VerifyOptions = {}): Verify {
  const keyFor = keysOf(options)
  return (publicKey, message, signature) => {
    if (publicKey.length !== 32 || !isSignature(signature)) return false
    const key = keyFor(publicKey)
    return key !== undefined && nodeVerify(null, message, key, signature)
  }
}

/** The same verdict, from another thread. */
export type VerifyLater = (...args: Parameters<Verify>) => Promise<boolean>

export const defaultVerifyLater = {
  /** The disk uses the same threads: an fsync waits behind these, for less than a millisecond. */
  atOnceMax: 16,
}

/** For whoever has many to verify, and must not hold up what else this peer does. */
export function createVerifyLater(
  options: VerifyOptions & typeof defaultVerifyLater = defaultVerifyLater,
): VerifyLater {
  const keyFor = keysOf(options)
  const waiting: (() => void)[] = []
  let running = 0
  return async (publicKey, message, signature) => {
    if (publicKey.length !== 32 || !isSignature(signature)) return false
    const key = keyFor(publicKey)
    if (key === undefined) return false
    if (running >= options.atOnceMax) await new Promise<void>((go) => waiting.push(go))
    else running += 1
    try {
      return await new Promise((resolve, reject) => {
        nodeVerify(null, message, key, signature, (error, holds) => {
          if (error) reject(error)
          else resolve(holds)
        })
      })
    } finally {
      // Whoever waits for longest has this turn.
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}

const keysOf = ({ keysMax }: VerifyOptions) =>
  keysMax === undefined ? sharedKeys : rememberKeys(keysMax)

/** Reads each key once, as long as no more than so many others were used since. */
function rememberKeys(keysMax: number): (publicKey: Uint8Array) => KeyObject | undefined {
  // Insertion order is the order of use: the first is the one not used for longest.
  const keys = new Map<string, KeyObject | undefined>()
  return (publicKey) => {
    const name = Buffer.from(publicKey).toString('latin1')
    const known = keys.has(name)
    // Refused keys are remembered as well: the check is what costs.
    const key = known ? keys.get(name) : importKey(publicKey)
    keys.delete(name)
    keys.set(name, key)
    if (keys.size > keysMax) {
      for (const oldest of keys.keys()) {
        keys.delete(oldest)
        break
      }
    }
    return key
  }
}

/** To find out that a key is a good one takes a millisecond. */
const sharedKeys = rememberKeys(KEYS_MAX)

/** What DER puts before the 32 bytes of an Ed25519 public key. */
const SPKI_HEADER = Buffer.from('302a300506032b6570032100', 'hex')

function importKey(publicKey: Uint8Array): KeyObject | undefined {
  if (!isPublicKey(publicKey)) return undefined
  const der = Buffer.concat([SPKI_HEADER, publicKey])
  return createPublicKey({ key: der, format: 'der', type: 'spki' })
}
