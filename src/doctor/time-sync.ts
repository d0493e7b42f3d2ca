import { execFile } from 'node:child_process'

const ASK_MS = 1_500

/**
 * Whether the system says that its clock is kept right by time servers: Linux with systemd does,
 * whichever program keeps it. Undefined where nobody says so.
 */
export async function isTimeSynced(
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const options = {
    env: { PATH: env.PATH },
    signal,
    timeout: ASK_MS,
    killSignal: 'SIGKILL',
  } as const
  return await new Promise((resolve) => {
    const args = ['show', '--property=NTPSynchronized', '--value']
    execFile('timedatectl', args, options, (error, stdout) => {
      const said = error === null ? stdout.trim() : ''
      resolve(said === 'yes' ? true : said === 'no' ? false : undefined)
    })
  })
}
