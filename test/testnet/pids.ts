import { readFileSync } from 'node:fs'

/** Whether a process does anything any more. One that nobody has waited for yet does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true // no /proc here
  }
}

/** Waits until none of them runs; fails after a while that no end of a process takes. */
export async function untilGone(pids: readonly number[], limitMs = 20_000): Promise<void> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const left = pids.filter(isRunning)
    if (left.length === 0) return
    if (performance.now() > deadline) throw new Error(`processes ${left} still run`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
