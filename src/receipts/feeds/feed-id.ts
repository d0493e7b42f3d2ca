import { hexName } from '../../base/hex.ts'
import { EPOCH_BYTES } from '../../wire/head.ts'
import { joinBytes } from '../../wire/octets.ts'

/** One log of one peer. */
export interface FeedId {
  /** The peer's key, 32 bytes. */
  author: Uint8Array
  /** 8 bytes. */
  epoch: Uint8Array
}

/** An entry by where it stands. */
export interface Place {
  feed: FeedId
  index: number
}

export const AUTHOR_BYTES = 32
export const FEED_BYTES = AUTHOR_BYTES + EPOCH_BYTES

export const feedBytes = ({ author, epoch }: FeedId): Uint8Array => joinBytes(author, epoch)

export const feedOf = (bytes: Uint8Array): FeedId => ({
  author: bytes.slice(0, AUTHOR_BYTES),
  epoch: bytes.slice(AUTHOR_BYTES, FEED_BYTES),
})

/** For maps: the same for the same feed. */
export const feedName = (feed: FeedId): string => hexName(feedBytes(feed))

export const FIRST_FEED = feedOf(new Uint8Array(FEED_BYTES))
export const LAST_FEED = feedOf(new Uint8Array(FEED_BYTES).fill(0xff))

/** The range of all feeds of an author. */
export const feedsOf = (author: Uint8Array) => ({
  gte: { author, epoch: FIRST_FEED.epoch },
  lte: { author, epoch: LAST_FEED.epoch },
})
