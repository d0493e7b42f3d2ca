import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

/** Whether nothing else, or something that makes way for all else, runs where a core has nothing to do. */
export type Cores = 'as they are' | 'kept awake'

/**
 * No core halts until this is left: Linux runs programs of its idle class where nothing else wants to,
 * and takes the core from them at once. To wake a halted core takes a virtual machine longer than
 * much of what is measured here. Undefined where there is no such class.
 */
export async function keepAwake(): Promise<(() => void) | undefined> {
  // One that was killed leaves nothing behind that runs for ever.
  const untilOrphaned = `console.log(1); while (process.ppid === ${process.pid});`
  const program = ['--idle', '0', process.execPath, '-e', untilOrphaned]
  const idlers = Array.from({ length: availableParallelism() }, () =>
    spawn('chrt', program, { stdio: ['ignore', 'pipe', 'ignore'] }),
  )
  const leave = () => {
    for (const idler of idlers) idler.kill('SIGKILL')
  }
  const begun = await Promise.all(
    idlers.map(async (idler) => {
      const ended = once(idler, 'exit').then(() => false)
      const said = once(idler.stdout, 'data').then(() => true)
      return await Promise.race([said, ended]).catch(() => false)
    }),
  )
  if (begun.every(Boolean)) return leave
  leave()
  return undefined
}
