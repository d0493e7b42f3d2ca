/** With so many of its connections a peer begins to let go of those that nobody uses. */
const CROWDED = 0.8
/** A peer that is of use is asked something oftener. */
const IDLE_MS = 60_000
/** Whatever a crowd does at the door, who has just come is heard out. */
const IDLE_MS_MIN = 10_000

/** So many connections are no crowd. */
export const uncrowded = (connectionsMax: number): number => CROWDED * connectionsMax

/**
 * How long a connection must have been idle to be ended, in milliseconds: the fuller the peer, the
 * shorter. Whoever finds the door shut goes away for good, so it never stays shut for long.
 */
export function idleMsWith(taken: number, connectionsMax: number): number {
  const room = uncrowded(connectionsMax)
  const left = (connectionsMax - taken) / (connectionsMax - room)
  return Math.max(IDLE_MS_MIN, IDLE_MS * Math.min(1, left))
}
