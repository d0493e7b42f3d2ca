/** What peers speak with each other. The host puts `/pinaivu/<network>/` in front of each. */
export const protocols = {
  advert: 'advert/1',
  status: 'status/1',
  generate: 'generate/1',
  sync: 'sync/1',
} as const

/** Gossip, likewise: fresh entries of all logs. */
export const topics = { log: 'log/1' } as const

/** One frame of any of them: a varint of its length and so many bytes. */
export const FRAME_BYTES_MAX = 64 * 1024
