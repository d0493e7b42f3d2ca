import type { Clock } from '../base/clock.ts'
import { unlessAborted } from '../base/deadline.ts'
import { PeerError } from '../base/errors.ts'

/** Longer than a disk that is only slow; a client waits for it. */
const WRITTEN_MS = 10_000

/** Nobody is told that it is done before it is on the disk, or waits for one that hangs. */
export async function inTime<T>(clock: Clock, written: Promise<T>): Promise<T> {
  const late = new AbortController()
  const cancel = clock.after(WRITTEN_MS, () => late.abort(tooLate()))
  try {
    return await unlessAborted(written, late.signal)
  } finally {
    cancel()
  }
}

/** It may be there after all, later. */
const tooLate = () =>
  new PeerError(
    'storage_failed',
    `The receipt was not written within ${WRITTEN_MS / 1000} seconds. Check the disk of this peer.`,
  )
