import type { Clock } from '../../base/clock.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'

const DIAL_MS = 8_000

interface Ways {
  go(task: () => void): void
  comeBack(task: () => void): void
}

interface Limit {
  clock: Clock
  what: string
  signal: AbortSignal
}

/** Does `act` over there; resolves when its answer is back, or fails with what it threw. */
export async function roundTrip(ways: Ways, act: () => void, limit: Limit): Promise<void> {
  const { clock, what, signal } = limit
  signal.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const settle = (how: () => void) => {
      signal.removeEventListener('abort', onAbort)
      cancel()
      how()
    }
    const onAbort = () => settle(() => reject(signal.reason))
    const cancel = clock.after(DIAL_MS, () =>
      settle(() => reject(new DeadlineError(what, DIAL_MS))),
    )
    signal.addEventListener('abort', onAbort, { once: true })
    ways.go(() => {
      let failure: unknown
      try {
        act()
      } catch (error) {
        failure = error
      }
      ways.comeBack(() => settle(() => (failure === undefined ? resolve() : reject(failure))))
    })
  })
}

export function unreachable(peerId: string): PeerError {
  return new PeerError('peer_unreachable', `${peerId} does not answer at any known address.`)
}
