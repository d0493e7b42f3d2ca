import { integerKey, type KeyCodec } from '../../storage/codec.ts'
import { joinBytes } from '../../wire/octets.ts'
import { AUTHOR_BYTES, FEED_BYTES, type FeedId, feedBytes, feedOf, type Place } from './feed-id.ts'
import type { TileRef } from './tiles.ts'

/** By what an entry is found. `mention`: by an entry that it is about. */
export const finds = ['entry', 'receipt', 'open', 'mention'] as const
export type Find = (typeof finds)[number]

export interface FindKey {
  find: Find
  /** 32 bytes. */
  digest: Uint8Array
  /** 0 where the log's author signed what is found, 1 where another embedded it: truth first. */
  rank: number
  place: Place
}

/** Of entries that came together: the first of them. */
export interface ArrivalKey {
  /** Milliseconds since 1970, by this peer's clock. */
  arrived: number
  place: Place
}

/** The two logs that a peer writes to: what it shows, and what it keeps between two parties. */
export const ownNames = ['public', 'private'] as const
export type OwnName = (typeof ownNames)[number]

/** The folder may have been another peer's before, whose logs are no business of this one. */
export interface OwnKey {
  author: Uint8Array
  name: OwnName
}

export interface TileKey {
  feed: FeedId
  tile: TileRef
}

const INTEGER_BYTES = 8
const DIGEST_BYTES = 32
const PLACE_BYTES = FEED_BYTES + INTEGER_BYTES
const FIND_BYTES = 1 + DIGEST_BYTES + 1 + PLACE_BYTES

export const feedKey: KeyCodec<FeedId> = {
  encode: feedBytes,
  decode: (bytes) => feedOf(exactly(bytes, FEED_BYTES)),
}

export const placeKey: KeyCodec<Place> = {
  encode: ({ feed, index }) => joinBytes(feed.author, feed.epoch, integerKey.encode(index)),
  decode(bytes) {
    exactly(bytes, PLACE_BYTES)
    return { feed: feedOf(bytes), index: integerKey.decode(bytes.subarray(FEED_BYTES)) }
  },
}

export const tileKey: KeyCodec<TileKey> = {
  encode: ({ feed, tile }) =>
    joinBytes(feedBytes(feed), Uint8Array.of(tile.level), integerKey.encode(tile.index)),
  decode(bytes) {
    const [level = 0] = exactly(bytes, PLACE_BYTES + 1).subarray(FEED_BYTES)
    const index = integerKey.decode(bytes.subarray(FEED_BYTES + 1))
    return { feed: feedOf(bytes), tile: { level, index } }
  },
}

export const findKey: KeyCodec<FindKey> = {
  // By hand: there are three of these keys for each entry that comes.
  encode({ find, digest, rank, place: { feed, index } }) {
    const bytes = new Uint8Array(FIND_BYTES)
    bytes[0] = finds.indexOf(find)
    bytes.set(exactly(digest, DIGEST_BYTES), 1)
    bytes[1 + DIGEST_BYTES] = rank
    bytes.set(feed.author, 2 + DIGEST_BYTES)
    bytes.set(feed.epoch, 2 + DIGEST_BYTES + AUTHOR_BYTES)
    bytes.set(integerKey.encode(index), FIND_BYTES - INTEGER_BYTES)
    return bytes
  },
  decode(bytes) {
    const digest = bytes.slice(1, 1 + DIGEST_BYTES)
    const [rank = 0] = bytes.subarray(1 + DIGEST_BYTES)
    const place = placeKey.decode(bytes.subarray(2 + DIGEST_BYTES))
    const find = finds[bytes[0] ?? finds.length]
    if (find === undefined) throw new RangeError(`there is no kind of find ${bytes[0]}`)
    return { find, digest, rank, place }
  },
}

export const arrivalKey: KeyCodec<ArrivalKey> = {
  encode: ({ arrived, place }) => joinBytes(integerKey.encode(arrived), placeKey.encode(place)),
  decode: (bytes) => ({
    arrived: integerKey.decode(bytes.subarray(0, INTEGER_BYTES)),
    place: placeKey.decode(bytes.subarray(INTEGER_BYTES)),
  }),
}

export const ownKey: KeyCodec<OwnKey> = {
  encode: ({ author, name }) => joinBytes(author, Uint8Array.of(ownNames.indexOf(name))),
  decode(bytes) {
    const [at = 0] = exactly(bytes, AUTHOR_BYTES + 1).subarray(AUTHOR_BYTES)
    const name = ownNames[at]
    if (name === undefined) throw new RangeError(`there is no own log ${at}`)
    return { author: bytes.slice(0, AUTHOR_BYTES), name }
  },
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`)
  return bytes
}
