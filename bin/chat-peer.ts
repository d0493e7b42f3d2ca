import { createPeer, readConfig } from '../src/index.ts'
import type { Input } from './command.ts'
import type { HttpClient } from './http-client.ts'
import { CommandError, type Io, print } from './io.ts'
import { createLogger } from './logger.ts'
import { findPeer, openClient } from './running-peer.ts'
import { safeLine } from './text.ts'

/** Runs `task` with the peer of the data folder, or with one that is started just for it. */
export async function withPeer(
  input: Input,
  io: Io,
  task: (client: HttpClient) => Promise<number>,
  create: typeof createPeer = createPeer,
): Promise<number> {
  const running = await findPeer(input.dataDir, io.signal)
  if (running !== undefined) return task(running.client)
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
    return await task(await openClient(dataDir, http, config.tls?.certFile ?? null))
  } finally {
    await peer.stop()
  }
}
