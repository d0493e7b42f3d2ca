import { closeSync, openSync } from 'node:fs'
import { isatty } from 'node:tty'
import { messageOf } from '../src/index.ts'
import type { Io } from './io.ts'
import { main } from './main.ts'
import { safeText } from './text.ts'

/** Runs the command line of this process. */
export async function run(): Promise<void> {
  const end = new AbortController()
  const interrupt = () => {
    // The first asks for a clean end, the second cannot wait for it.
    if (end.signal.aborted) process.exit(1)
    end.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const reloads = new Set<() => void>()
  const onTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor))
  process.on('SIGHUP', () => {
    // The same signal says that the terminal is gone. Without a use for it, it ends a program anyhow.
    if (reloads.size === 0 || (onTerminal && !hasTerminal())) interrupt()
    else for (const reload of reloads) reload()
  })
  // Whoever started this with a channel to it, as a testnet does, is gone or wants it to end.
  process.on('disconnect', () => end.abort())
  if (process.connected === false) end.abort()
  let unwritten: NodeJS.ErrnoException | undefined
  // Nobody reads any more, or the disk with the log is full: no reason for a peer to end.
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `pinaivu-peer start | head -1` has what it wants.
    if (error.code !== 'EPIPE') unwritten ??= error
  })
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.exitCode = await main(process.argv.slice(2), ioOfProcess(end.signal, reloads))
  for (const output of [process.stdout, process.stderr]) {
    await new Promise<unknown>((resolve) => output.write('', resolve))
  }
  if (unwritten !== undefined) {
    process.stderr.write(`Error: cannot write to stdout: ${unwritten.message}\n`)
    process.exitCode = 1
  }
  // All is stopped, but libp2p forgets timers that would hold the process for two seconds more.
  process.exit()
}

function ioOfProcess(signal: AbortSignal, reloads: Set<() => void>): Io {
  const { stdout, stderr, env } = process
  // Looking at stdin opens it, which only a command that reads should do.
  return {
    stdout,
    stderr,
    env,
    signal,
    onReload(listener) {
      reloads.add(listener)
      return () => reloads.delete(listener)
    },
    get stdin() {
      return process.stdin
    },
  }
}

/** The terminal of this process; one that was closed can't be opened any more. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

function fail(error: unknown): never {
  const stack = error instanceof Error ? error.stack : undefined
  process.stderr.write(
    `Error: something unexpected went wrong: ${safeText(messageOf(error))}\n${safeText(stack ?? '')}\n`,
  )
  // Whatever still runs is in an unknown state.
  process.exit(1)
}
