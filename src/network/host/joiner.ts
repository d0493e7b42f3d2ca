import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { isAbort, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Door } from './addresses.ts'

/** With fewer the way in is tried again: one or two can vanish together. */
const PEERS_MIN = 4
/**
 * And whenever none of the doors was connected for so long: all peers that this one was led to since
 * may be those of one operator, who is not the one that its owner has named.
 */
const LOOK_BACK_MS = 10 * 60_000
/** How often it is looked at while there is nothing to do. */
const IDLE_MS = 5_000
const BACKOFF_FIRST_MS = 1_000
/** A bootstrap peer that comes back is found within a minute. */
const BACKOFF_MAX_MS = 60_000

export interface JoinerComponents {
  /** Resolves once that peer is connected and one of this network. */
  dial(door: Door, signal: AbortSignal): Promise<void>
  isConnected(peerId: string): boolean
  /** Connected peers that this one has dialled: those that came by themselves may surround it. */
  dialled(): number
  clock: Clock
  logger: Logger
  metrics: Metrics
}

/** Dials the bootstrap peers while the peer has few connections, ever less often while that fails. */
export async function keepJoined(
  components: JoinerComponents,
  doors: readonly Door[],
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = components
  const dial = dialer(components, signal)
  let failures = 0
  let throughAt = clock.elapsed()
  try {
    while (!signal.aborted) {
      const missing = doors.filter((door) => !components.isConnected(door.peerId))
      if (missing.length < doors.length) throughAt = clock.elapsed()
      const isLong = clock.elapsed() - throughAt >= LOOK_BACK_MS
      let waitMs = IDLE_MS
      if ((components.dialled() < PEERS_MIN || isLong) && missing.length > 0) {
        const joined = await Promise.all(missing.map(dial))
        failures = joined.includes(true) ? 0 : failures + 1
        if (failures > 0) waitMs = backoffMs(failures - 1, BACKOFF_FIRST_MS, BACKOFF_MAX_MS)
      }
      await clock.sleep(waitMs, signal)
    }
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) {
      logger.error('joining stopped; restart the peer', { error: messageOf(error) })
    }
  }
}

/** Resolves to whether the peer was joined. Says so once when it can't be, and once when it can again. */
function dialer({ dial, logger, metrics }: JoinerComponents, signal: AbortSignal) {
  const failing = new Set<string>()
  const failed = metrics.counter(
    'pinaivu_network_bootstrap_failures_total',
    'Attempts to reach a bootstrap peer that failed.',
  )
  return async (door: Door): Promise<boolean> => {
    try {
      await dial(door, signal)
      if (failing.delete(door.peerId)) logger.info('bootstrap peer joined', { ...door })
      return true
    } catch (error) {
      if (signal.aborted) return false
      failed.add()
      const data = { ...door, error: messageOf(error) }
      if (failing.has(door.peerId)) logger.debug('bootstrap peer still not joined', data)
      else {
        logger.warn(
          'bootstrap peer not joined, trying again in the background; check that it runs, that its ' +
            'address, peer id and --network are right and that no firewall is in between',
          data,
        )
      }
      failing.add(door.peerId)
      return false
    }
  }
}
