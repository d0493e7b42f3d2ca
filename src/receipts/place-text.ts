import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { peerIdOf, publicKeyOf } from '../wire/peer-id.ts'
import type { Place } from './feeds/feed-id.ts'

const pattern = /^([1-9A-HJ-NP-Za-km-z]{52})\.([0-9a-f]{16})\.(0|[1-9]\d{0,14})$/

/** An entry by where it stands, for people to hand back: peer id, epoch, index. */
export const placeText = ({ feed: { author, epoch }, index }: Place): string =>
  `${peerIdOf(author)}.${bytesToHex(epoch)}.${index}`

/** Undefined for a text that names no place. */
export function readPlace(text: string): Place | undefined {
  const [, peerId = '', epoch = '', index] = pattern.exec(text) ?? []
  if (index === undefined) return undefined
  try {
    const feed = { author: publicKeyOf(peerId), epoch: hexToBytes(epoch) }
    return { feed, index: Number(index) }
  } catch {
    return undefined
  }
}
