import { octets, optional, record, text, whole } from './cbor-shape.ts'
import { decodeDagCbor, encodeDagCbor } from './dag-cbor.ts'
import { hash, key, time } from './entry-parts.ts'
import { bytes } from './fields.ts'
import type { Signed } from './generate.ts'
import { malformed } from './malformed.ts'
import { networkName } from './rules.ts'
import { message } from './shape.ts'
import { checkSignatureOf, type Signing, signPayload, type Verifying } from './signed.ts'

/** A head has some 200 bytes; the rest is for fields of the future. */
export const HEAD_BYTES_MAX = 1024
const bounds = { bytesMax: HEAD_BYTES_MAX, depthMax: 4, valuesMax: 64 }

/** A `Signed` that is a head: smaller than others, wherever it stands. */
export const signedHeadShape = message('Signed', {
  payload: bytes(1, { min: 1, max: HEAD_BYTES_MAX }),
  signature: bytes(2, { min: 64, max: 64 }),
})

export const EPOCH_BYTES = 8

/** Where a log stood, without who says so. */
const place = {
  epoch: octets('epoch', EPOCH_BYTES),
  size: whole('positive', { min: 1 }),
  root: hash,
}

/** The head of the epoch before, as far as others knew it. */
const continued = record('Continued', place)

export const headShape = record('Head', {
  net: text('network', networkName),
  author: key,
  ...place,
  at: time,
  after: optional(continued),
})

/**
 * All that is signed of a log: how many entries it has, and the root over them. `author` is the key
 * of the log's peer, `at` its clock in milliseconds since 1970. `after` is there when the log goes on
 * from one of another epoch, which its peer lost the end of.
 */
export type Head = ReturnType<typeof headShape.read>

export function signHead(head: Omit<Head, 'net'>, signing: Signing): Signed {
  const payload = encodeDagCbor(headShape.write({ ...head, net: signing.network }))
  return signPayload('head', payload, signing)
}

/** Throws `malformed`, or `bad_signature` where it is not its author's for this network. */
export function openHead(signed: Signed, verifying: Verifying): Head {
  const head = readHeadOf(verifying.network, signed)
  checkSignatureOf(head.author, 'head', signed, verifying)
  return head
}

/** Throws `malformed`; its signature is not looked at. */
export function readHeadOf(network: string, signed: Signed): Head {
  const head = readHead(signed)
  if (head.net !== network) throw malformed('Head.net', 'is another network')
  return head
}

/** What it says, its signature unseen: for those that this peer has checked before. */
export const readHead = ({ payload }: Signed): Head =>
  headShape.read(decodeDagCbor(payload, 'Head', bounds), 'Head')
