import type { SimPeer } from './sim-peer.ts'
import type { Verdicts } from './verdicts.ts'

/** Of a peer that nobody asks anything. */
const OWN_MAX = 60
/** Each peer that it is connected with takes some: pings, probes, logs. */
const TIMERS_OF_EACH = 3
const STREAMS_OF_EACH = 4

export interface Leftovers {
  timersMax: number
  streamsMax: number
}

/** Nothing of the jobs is left, and of the rest no more than a peer at rest has. */
export function checkRest(peers: readonly SimPeer[], verdicts: Verdicts): Leftovers {
  const most: Leftovers = { timersMax: 0, streamsMax: 0 }
  for (const peer of peers) {
    if (peer.life === undefined) continue
    const timers = peer.life.clock.pending
    const streams = peer.life.network.openStreams()
    const jobs = streams.filter(({ protocol }) => protocol === 'generate/1')
    const others = peer.life.network.connected().length
    const holds =
      jobs.length === 0 &&
      timers <= OWN_MAX + others * TIMERS_OF_EACH &&
      streams.length <= OWN_MAX + others * STREAMS_OF_EACH
    verdicts.expect(
      holds,
      'nothing is left over at rest',
      () =>
        `${peer} has ${timers} timers, ${streams.length} streams, ${jobs.length} of them jobs, ` +
        `and ${others} connections`,
    )
    most.timersMax = Math.max(most.timersMax, timers)
    most.streamsMax = Math.max(most.streamsMax, streams.length)
  }
  return most
}
