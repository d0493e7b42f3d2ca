import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The program of a Chromium; undefined where there is none. */
export const chromium: string | undefined = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => names.map((name) => join(folder, name)))
  .find(isExecutable)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const flags = [
  '--headless',
  // As root, which CI often is, it starts no other way.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--no-first-run',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update',
  // It has nothing to say to anybody but this test.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
]

/** Far more than it takes on a machine with much else to do. */
const WAIT_MS = 50_000

/** Opens a page in a browser without a window, until `done`. */
export async function withPage<T>(url: string, done: Promise<T>): Promise<T> {
  return withBrowser([url], () => done)
}

/** A browser without a window, while `work` goes on. `profile`: the folder of its files. */
export async function withBrowser<T>(
  args: readonly string[],
  work: (profile: string) => Promise<T>,
): Promise<T> {
  if (chromium === undefined) throw new Error('There is no Chromium on this machine.')
  const profile = mkdtempSync(join(tmpdir(), 'pinaivu-browser-'))
  const browser = spawn(chromium, [...flags, `--user-data-dir=${profile}`, ...args], {
    // A group of its own, as it starts other processes.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(browser, 'close')
  let complaints = ''
  browser.stderr.on('data', (data) => {
    complaints = `${complaints}${data}`.slice(-2000)
  })
  const undone = (why: string) => new Error(`The page was not done ${why}. ${complaints}`)
  const wait = new AbortController()
  const failed = Promise.race([
    ended.then(() => Promise.reject(undone('when the browser ended'))),
    sleep(WAIT_MS, undefined, { signal: wait.signal }).then(() =>
      Promise.reject(undone(`after ${WAIT_MS} ms`)),
    ),
  ])
  try {
    return await Promise.race([work(profile), failed])
  } finally {
    if (browser.pid !== undefined && browser.exitCode === null)
      process.kill(-browser.pid, 'SIGKILL')
    wait.abort()
    await ended
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  }
}
