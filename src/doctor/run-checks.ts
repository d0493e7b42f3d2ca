import type { Clock } from '../base/clock.ts'
import { unlessAborted, within } from '../base/deadline.ts'
import { DeadlineError, messageOf } from '../base/errors.ts'
import { type Finding, type Found, warn } from './finding.ts'

/** One thing to look at. It changes nothing. */
export interface Check {
  name: string
  look(signal: AbortSignal): Promise<Found | readonly Found[]>
  /** What it means when it is not done in time. */
  late?: Found
}

export interface RunOptions {
  /** For each of them. */
  ms: number
  signal: AbortSignal
}

/** Does them side by side; the findings come in the order of the checks. Throws with the signal only. */
export async function runChecks(
  checks: readonly Check[],
  clock: Clock,
  { ms, signal }: RunOptions,
): Promise<Finding[]> {
  const findings = await Promise.all(
    checks.map(async (check) => {
      const found = await looked(check, clock, { ms, signal })
      return [found].flat().map((each) => ({ check: check.name, ...each }))
    }),
  )
  return findings.flat()
}

async function looked(
  { name, look, late }: Check,
  clock: Clock,
  { ms, signal }: RunOptions,
): Promise<Found | readonly Found[]> {
  try {
    const limit = { ms, what: name, signal }
    // A disk that hangs knows no signal.
    return await within(clock, limit, (soon) => unlessAborted(look(soon), soon))
  } catch (error) {
    signal.throwIfAborted()
    const again = 'Run the doctor again when the machine has less to do.'
    if (error instanceof DeadlineError) {
      return late ?? warn('check_too_slow', `This was not looked at within ${ms / 1000} s.`, again)
    }
    const why = `This could not be looked at: ${messageOf(error)}`
    return warn('check_failed', why, 'Look at it by hand.')
  }
}
