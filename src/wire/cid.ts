import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { base32 } from 'multiformats/bases/base32'
import { InvalidError } from '../base/errors.ts'
import { malformed } from './malformed.ts'
import { sha256 } from './sha256.ts'

/** `receipt`: of the bytes that an RYV1 receipt signs. `entry`: of an entry of the log. */
export type CidKind = 'receipt' | 'entry'

/** CIDv1; raw or dag-cbor; SHA-256 of 32 bytes. Other hashes, identity above all, are refused. */
const headers: Record<CidKind, Uint8Array> = {
  receipt: Uint8Array.of(0x01, 0x55, 0x12, 0x20),
  entry: Uint8Array.of(0x01, 0x71, 0x12, 0x20),
}

const HEADER_BYTES = 4
export const CID_BYTES = HEADER_BYTES + 32

/** The only spelling in base32: small letters, with zeros as the bits that are left over. */
const multiformats = /^baf(kr|yr)ei[a-h][a-z2-7]{50}[aeimquy4]$/
const ryv1 = /^ryv1:sha256:[0-9a-f]{64}$/

/** The address of a thing by its content. */
export class Cid {
  readonly kind: CidKind
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array

  constructor(kind: CidKind, digest: Uint8Array) {
    this.kind = kind
    this.digest = digest
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(CID_BYTES)
    bytes.set(headers[this.kind])
    bytes.set(this.digest, HEADER_BYTES)
    return bytes
  }

  /** `bafkrei…` or `bafyrei…`. */
  toString(): string {
    return base32.encode(this.bytes)
  }
}

/** A receipt's CID as this network writes it. */
export const ryv1Cid = (digest: Uint8Array): string => `ryv1:sha256:${bytesToHex(digest)}`

/** The same digest as a CID that other programs read. */
export const rawCid = (digest: Uint8Array): string => new Cid('receipt', digest).toString()

/** Of an entry's bytes. */
export const entryCid = (bytes: Uint8Array): Cid => new Cid('entry', sha256(bytes))

/** Of any spelling that people use. Throws `invalid_cid`. */
export function parseCid(text: string): Cid {
  if (ryv1.test(text)) return new Cid('receipt', hexToBytes(text.slice(-64)))
  if (!multiformats.test(text)) {
    throw new InvalidError(
      'cid',
      'A CID is ryv1:sha256: and 64 hex digits, or 59 characters that begin with bafkrei or bafyrei.',
      'invalid_cid',
    )
  }
  const kind = text.startsWith('bafk') ? 'receipt' : 'entry'
  return new Cid(kind, base32.decode(text).slice(HEADER_BYTES))
}

/** Of the 36 bytes that a peer sent. */
export function readCid(bytes: Uint8Array, where: string): Cid {
  for (const kind of ['receipt', 'entry'] as const) {
    const isOfKind = headers[kind].every((byte, at) => bytes[at] === byte)
    if (isOfKind && bytes.length === CID_BYTES) return new Cid(kind, bytes.slice(HEADER_BYTES))
  }
  throw malformed(where, 'is not a CID of this log (CIDv1, raw or dag-cbor, sha2-256)')
}
