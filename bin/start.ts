import { once } from 'node:events'
import { createPeer, readConfig, settingList, unknownSetting } from '../src/index.ts'
import { type Command, type Input, type Option, optionOf } from './command.ts'
import { trimHeap } from './heap.ts'
import { exitCodes, type Io } from './io.ts'
import { createLogger } from './logger.ts'
import { StartReport } from './start-report.ts'

const options: readonly Option[] = settingList.map((setting) => ({
  ...optionOf(setting),
  group: setting.group,
}))

export const start: Command = {
  name: 'start',
  summary: 'Run a peer in the foreground. Ctrl-C stops it cleanly.',
  options,
  details: [
    'Each option is also a variable (PINAIVU_HTTP for --http, lists with commas) and a key in ' +
      'config.toml in the data folder (http = "127.0.0.1:7462", mdns = true, model = ["a.gguf"]; ' +
      'other names for a model under [aliases]). An option counts before a variable, a variable ' +
      'before config.toml.',
  ],
  examples: [
    ['pinaivu-peer', 'The built-in demo models on http://127.0.0.1:7462/v1'],
    ['pinaivu-peer start --model phi-4=~/models/phi-4-Q4_K_M.gguf', 'Serve a model of your own'],
    ['pinaivu-peer start --upstream ollama=http://127.0.0.1:11434', 'Serve what Ollama has'],
    ['pinaivu-peer start --http 127.0.0.1:0 --json', 'For programs: any free port, JSON lines'],
    ['pinaivu-peer start --mdns --region DE', 'Join the peers on the local network'],
    [
      'pinaivu-peer start --bootstrap /ip4/203.0.113.7/tcp/7463/p2p/12D3Koo…',
      'Join through a peer',
    ],
  ],
  unknownOption: (name) => unknownSetting(name, '--', ['json', 'help', 'version']),
  run: (input, io) => runStart(input, io, createPeer),
}

/** Starts a peer, tells what it does until the signal comes, and stops it. */
export async function runStart(input: Input, io: Io, create: typeof createPeer): Promise<number> {
  const config = readConfig({ flags: input.values, env: io.env })
  const logger = createLogger(config.logLevel, io)
  for (const notice of config.notices) logger.warn(notice)
  const report = new StartReport(io, config, input.json)
  const peer = await create(config, { logger })
  const unsubscribe = [
    peer.onModel((status) => report.model(status)),
    peer.onPeer((event) => report.peer(event)),
  ]
  try {
    await peer.start({ signal: io.signal })
    for (const status of peer.models()) report.model(status)
    report.ready(peer.ready())
    trimHeap()
    if (!io.signal.aborted) await once(io.signal, 'abort')
    report.stopping()
  } catch (error) {
    // Interrupted before it was up: that is what the user wanted.
    if (!io.signal.aborted) throw error
  } finally {
    for (const end of unsubscribe) end()
    await peer.stop()
  }
  return exitCodes.done
}
