import type { HandlerLimits } from '../../../network/network.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** What one peer may open: it asks on some, and follows on others. */
export const syncStreams: HandlerLimits = { streamsMax: 8, opensPerSecond: 32 }

export const defaultServe = {
  /** Of all peers: each may hold back 256 KiB that its reader does not take. */
  streamsMax: 256,
  /** Of those that follow, which does not end, and keeps a connection: there is room for others. */
  followersMax: 96,
  /** Of peers in one net, as `netOf` says it: it may be one operator's. */
  netStreamsMax: 128,
  /** Logs that are followed, by all streams; some 1 KB each. */
  followedMax: 16_384,
  /** Of one answer; then whoever asks has to ask again. */
  answerBytesMax: 32 * MIB,
  answerMs: 60_000,
  /** From one question to the next. */
  idleMs: 30_000,
  /** A reader that takes nothing for so long is gone. */
  stallMs: 20_000,
  /** What is sent to one peer, and to all. */
  perPeer: { perSecond: 8 * MIB, burst: 16 * MIB },
  inAll: { perSecond: 16 * MIB, burst: 64 * MIB },
  /** What a question costs, for each log, author or CID in it: as sending so many bytes. */
  questionBytes: 4 * KIB,
  /** What each frame of its answer costs besides its own bytes: a third of a millisecond. */
  readBytes: 12 * KIB,
  /** Whoever had to wait so long for its turn is told `busy`: it may ask somebody else. */
  turnMs: 5_000,
}

export type ServeLimits = typeof defaultServe
