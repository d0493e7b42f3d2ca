import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import { verify } from '../../../src/identity/verify.ts'
import { createVerifyNative } from '../../../src/identity/verify-native.ts'
import { join } from './raw.ts'

export const network = 'vectors'

const seeded = (byte: number): Identity => identityFromSeed(new Uint8Array(32).fill(byte))

/** Who signs, and whom jobs are for. */
export const alice = seeded(1)
export const bob = seeded(2)

export interface Good {
  name: string
  message: string
  bytes: Uint8Array
  /** The reader's own bytes, where it does not keep all that it was told. */
  again?: Uint8Array
}

export interface Bad {
  name: string
  message: string
  bytes: Uint8Array
  error: string
}

export const good = (message: string, name: string, bytes: Uint8Array, again?: Uint8Array): Good =>
  again === undefined ? { name, message, bytes } : { name, message, bytes, again }

export const bad = (
  message: string,
  name: string,
  bytes: Uint8Array,
  error = 'malformed',
): Bad => ({ name, message, bytes, error })

/** What a signature of this record covers. */
export const covered = (record: string, payload: Uint8Array, of = network): Uint8Array =>
  join(`PNV1|${record}|${of}|`, payload)

export const signature = (
  record: string,
  payload: Uint8Array,
  { by = alice, of = network }: { by?: Identity; of?: string } = {},
): Uint8Array => by.sign(covered(record, payload, of))

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** Another signature for which a careless check holds: S + L. */
export function malleated(signature: Uint8Array): Uint8Array {
  const reversed = Buffer.from(signature.slice(32)).reverse()
  const s = BigInt(`0x${reversed.toString('hex')}`) + ORDER
  const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  return join(signature.slice(0, 32), bytes)
}

/** The neutral point as a key: R = B and S = 1 satisfy the bare equation for any message. */
export const smallOrder = {
  key: Uint8Array.of(1, ...new Uint8Array(31)),
  signature: join(
    Uint8Array.of(0x58, ...new Uint8Array(31).fill(0x66)),
    Uint8Array.of(1, ...new Uint8Array(31)),
  ),
}

/** Both verifiers must come to the same verdict; the portable one is slow, so it is second. */
const native = createVerifyNative()
export const both: typeof verify = (...signed) => {
  const verdict = native(...signed)
  if (verdict !== verify(...signed)) throw new Error('the verifiers disagree')
  return verdict
}
