import { PeerError } from '../base/errors.ts'
import { bytes } from './fields.ts'
import type { Signed } from './generate.ts'
import { publicKeyOf } from './peer-id.ts'
import { message } from './shape.ts'

/** 64 bytes, RFC 8032, by the key of whoever speaks. */
export type Sign = (message: Uint8Array) => Uint8Array

/** The same signature, made in another thread. */
export type SignLater = (message: Uint8Array) => Promise<Uint8Array>

/** By the rule of `protocols/identity/spec.md`. */
export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

export interface Signing {
  network: string
  sign: Sign
}

export interface Verifying {
  network: string
  verify: Verify
}

/** Names what is signed, so that one kind of record never passes for another. */
export type SignedRecord = 'advert' | 'departure' | 'job' | 'head' | 'routing'

/** The largest payload, a job with many drafters and some fields of the future. */
const PAYLOAD_BYTES_MAX = 16 * 1024

export const signedShape = message('Signed', {
  payload: bytes(1, { min: 1, max: PAYLOAD_BYTES_MAX }),
  signature: bytes(2, { min: 64, max: 64 }),
})

export function signPayload(
  record: SignedRecord,
  payload: Uint8Array,
  { network, sign }: Signing,
): Signed {
  return { payload, signature: sign(signedBytes(record, network, payload)) }
}

/** Throws `bad_signature` unless `peerId` signed the payload as this record, for this network. */
export function checkSignature(
  record: SignedRecord,
  signed: Signed,
  peerId: string,
  verifying: Verifying,
): void {
  checkSignatureOf(keyOf(peerId), record, signed, verifying)
}

/** The same, where the key itself is known. */
export function checkSignatureOf(
  publicKey: Uint8Array,
  record: SignedRecord,
  { payload, signature }: Signed,
  { network, verify }: Verifying,
): void {
  if (verify(publicKey, signedBytes(record, network, payload), signature)) return
  throw badSignature(record)
}

const utf8 = new TextEncoder()

/** The bytes that the signature covers. */
export function signedBytes(
  record: SignedRecord,
  network: string,
  payload: Uint8Array,
): Uint8Array {
  const prefix = utf8.encode(`PNV1|${record}|${network}|`)
  const all = new Uint8Array(prefix.length + payload.length)
  all.set(prefix)
  all.set(payload, prefix.length)
  return all
}

/** 52 characters of base58 need not be an Ed25519 key. No key, no signature. */
function keyOf(peerId: string): Uint8Array {
  try {
    return publicKeyOf(peerId)
  } catch {
    return new Uint8Array()
  }
}

const badSignature = (record: SignedRecord) =>
  new PeerError('bad_signature', `The signature of this ${record} is not that of its peer.`, {
    action: 'penalise',
  })
