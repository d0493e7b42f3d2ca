import { setTimeout as sleep } from 'node:timers/promises'
import { createPeer, readConfig } from '../src/index.ts'
import type { Input } from './command.ts'
import { type HttpClient, isClosing } from './http-client.ts'
import { CommandError, type Io, print } from './io.ts'
import { createLogger } from './logger.ts'
import { findPeer, openClient, type RunningPeer } from './running-peer.ts'
import { safeLine } from './text.ts'

/** The peer of a chat. It may be started anew meanwhile, and is then found at another address. */
export interface ChatPeer {
  readonly client: HttpClient
  /** Waits until it runs again after an error that `isGone`; false where it does not in time. */
  comesBack(error: unknown, signal: AbortSignal): Promise<boolean>
}

/** So long a peer that is started anew takes at most: its models load after it answers. */
export const COMES_BACK_MS = 60_000
const LOOK_MS = 500

/** A peer that others started, and may start again. */
class StandingPeer implements ChatPeer {
  readonly #dataDir: string
  #pid: number
  client: HttpClient

  constructor(dataDir: string, { info, client }: RunningPeer) {
    this.#dataDir = dataDir
    this.#pid = info.pid
    this.client = client
  }

  async comesBack(error: unknown, signal: AbortSignal): Promise<boolean> {
    const late = AbortSignal.timeout(COMES_BACK_MS)
    const either = AbortSignal.any([signal, late])
    // One that ends answers for a while yet.
    let isAnother = !isClosing(error)
    try {
      for (;;) {
        const found = await findPeer(this.#dataDir, either)
        isAnother ||= found?.info.pid !== this.#pid
        if (found !== undefined && isAnother) {
          this.#pid = found.info.pid
          this.client = found.client
          return true
        }
        await sleep(LOOK_MS, undefined, { signal: either })
      }
    } catch (cause) {
      if (late.aborted && !signal.aborted) return false
      throw cause
    }
  }
}

/** Runs `task` with the peer of the data folder, or with one that is started just for it. */
export async function withPeer(
  input: Input,
  io: Io,
  task: (peer: ChatPeer) => Promise<number>,
  create: typeof createPeer = createPeer,
): Promise<number> {
  const running = await findPeer(input.dataDir, io.signal)
  if (running !== undefined) return task(new StandingPeer(input.dataDir, running))
  print(io.stderr, `No peer is running on ${safeLine(input.dataDir)}: starting one for this chat.`)
  // Free ports, so that it is in nobody's way.
  const flags = {
    'data-dir': input.dataDir,
    http: '127.0.0.1:0',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    'log-level': 'error',
  }
  const config = readConfig({ flags, env: io.env })
  const peer = await create(config, { logger: createLogger(config.logLevel, io) })
  try {
    await peer.start({ signal: io.signal })
    const { http, dataDir } = peer.ready()
    if (http === null) throw new CommandError('The peer has no HTTP endpoint to talk to.')
    const client = await openClient(dataDir, http, config.tls?.certFile ?? null)
    // It lives and ends with this process: nobody starts it again.
    return await task({ client, comesBack: (error) => Promise.reject(error) })
  } finally {
    await peer.stop()
  }
}
