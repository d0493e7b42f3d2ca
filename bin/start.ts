import { once } from 'node:events'
import {
  type Config,
  configPath,
  createPeer,
  finishRestore,
  type Logger,
  messageOf,
  type Peer,
  readConfig,
  settingList,
  unknownSetting,
  writeFirstConfig,
} from '../src/index.ts'
import { type Command, type Input, type Option, optionOf } from './command.ts'
import { trimHeap } from './heap.ts'
import { exitCodes, type Io } from './io.ts'
import { LogFile } from './log-file.ts'
import { createLogger } from './logger.ts'
import { reload } from './reload.ts'
import { Rereading } from './reread.ts'
import { pullMissing } from './start-pull.ts'
import { StartReport } from './start-report.ts'

const MEGABYTE = 1_000_000

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
    'With "config reload" or the signal SIGHUP it reads that file again, and takes over price, credit ' +
      'limit, aliases and log level without a restart.',
  ],
  examples: [
    ['pinaivu-peer', 'The built-in demo models on http://127.0.0.1:7462/v1'],
    ['pinaivu-peer start --model phi-4=~/models/phi-4-Q4_K_M.gguf', 'Serve a model of your own'],
    ['pinaivu-peer start --model llama3.2:1b', 'Fetch it from the Hugging Face hub, and serve it'],
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
  // Before its config.toml is read.
  const isFinished = await finishRestore(input.dataDir)
  const sources = { flags: input.values, env: io.env }
  const config = readConfig(sources)
  const file = logFileOf(config)
  const logger = createLogger(config.logLevel, io, file)
  if (isFinished) logger.warn('a restore that was interrupted at its end is finished now')
  for (const notice of config.notices) logger.warn(notice)
  const report = new StartReport(io, config, input.json)
  let isLate = false
  let reread = () => {
    isLate = true
  }
  const rereading = new Rereading(configPath(config.dataDir), () => reread())
  // As long as it runs: unheard, the signal would end the program.
  const unheard = io.onReload(() => rereading.ask())
  try {
    await pullMissing(config, io, input.json)
    const peer = await create(config, { logger })
    reread = () => {
      file?.reopen()
      const said = reload(peer, sources, logger)
      if (said !== undefined) report.reloaded(said)
    }
    if (isLate) reread()
    await offerConfig(config.dataDir, logger)
    await runPeer(peer, report, io.signal)
  } finally {
    unheard()
    rereading.stop()
  }
  return exitCodes.done
}

async function runPeer(peer: Peer, report: StartReport, signal: AbortSignal): Promise<void> {
  const unsubscribe = [
    peer.onModel((status) => report.model(status)),
    peer.onPeer((event) => report.peer(event)),
  ]
  try {
    await peer.start({ signal })
    for (const status of peer.models()) report.model(status)
    report.ready(peer.ready())
    trimHeap()
    if (!signal.aborted) await once(signal, 'abort')
    report.stopping()
  } catch (error) {
    // Interrupted before it was up: that is what the user wanted.
    if (!signal.aborted) throw error
  } finally {
    for (const end of unsubscribe) end()
    await peer.stop()
  }
}

function logFileOf({ logFile: path, logSize, logFiles: filesMax }: Config): LogFile | undefined {
  return path === undefined
    ? undefined
    : new LogFile({ path, bytesMax: logSize * MEGABYTE, filesMax })
}

/** A peer does without the file: where it cannot be written, its owner knows why. */
async function offerConfig(dataDir: string, logger: Logger): Promise<void> {
  await writeFirstConfig(dataDir).catch((error: unknown) => {
    logger.debug('config.toml was not written', { dataDir, error: messageOf(error) })
  })
}
