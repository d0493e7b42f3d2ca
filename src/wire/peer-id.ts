import { base58btc } from 'multiformats/bases/base58'
import { InvalidError } from '../base/errors.ts'

/** Identity multihash (00, 36 bytes) of libp2p's PublicKey{ type: Ed25519, data: 32 bytes }. */
const HEADER = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)

/** With this header every peer id is equally long. */
const PEER_ID_CHARS = 52

/** libp2p's name for the holder of an Ed25519 key: `12D3Koo…`. */
export function peerIdOf(publicKey: Uint8Array): string {
  if (publicKey.length !== 32) {
    throw new InvalidError('publicKey', `A public key has 32 bytes, not ${publicKey.length}.`)
  }
  const bytes = new Uint8Array(HEADER.length + 32)
  bytes.set(HEADER)
  bytes.set(publicKey, HEADER.length)
  return base58btc.baseEncode(bytes)
}

/** The key inside a peer id. It has the right form; whether it is a good key, `verify` decides. */
export function publicKeyOf(peerId: string): Uint8Array {
  const bytes = peerId.length === PEER_ID_CHARS ? decode(peerId) : undefined
  if (bytes?.length !== HEADER.length + 32 || HEADER.some((byte, at) => bytes[at] !== byte)) {
    throw new InvalidError(
      'peerId',
      'A peer id of this network is 52 characters and begins with 12D3Koo (an Ed25519 key).',
      'invalid_peer_id',
    )
  }
  return bytes.slice(HEADER.length)
}

function decode(peerId: string): Uint8Array | undefined {
  try {
    return base58btc.baseDecode(peerId)
  } catch {
    return undefined
  }
}
