import { once } from 'node:events'
import { extname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { peersMax, peersMin, scenarios, Testnet, TestnetPeerError } from '../testnet/index.ts'
import { type Command, type Input, numberOf } from './command.ts'
import { exitCodes, type Io, print, UsageError } from './io.ts'
import { JsonReport, PersonReport } from './testnet-report.ts'
import { runTestnetScenario } from './testnet-scenario.ts'
import { watchTestnet } from './testnet-watch.ts'
import { safeLine } from './text.ts'

const peersDefault = 5

export const testnet: Command = {
  name: 'testnet',
  summary: 'Run many real peers on this machine that find each other. Ctrl-C stops them all.',
  options: [
    {
      name: 'peers',
      placeholder: 'N',
      help: `How many, ${peersMin} to ${peersMax}. Each takes about 300 MB with its engine.`,
      defaultText: String(peersDefault),
    },
    {
      name: 'scenario',
      placeholder: 'NAME',
      help: 'Hurt peers on purpose, and say whether it held. Scenarios are listed below.',
    },
    {
      name: 'seed',
      placeholder: 'N',
      help: 'When, to whom and how it happens, in a scenario.',
      defaultText: 'another each time',
    },
    { name: 'keep', help: 'Leave their folders and logs when they are stopped.' },
    {
      name: 'data-dir',
      placeholder: 'DIR',
      help: 'Keep their folders and logs here, also for the next time.',
      defaultText: 'a temporary folder',
    },
  ],
  lists: [
    {
      title: 'Scenarios',
      rows: Object.entries(scenarios).map(([name, { summary }]) => [name, summary]),
    },
  ],
  details: [
    'The first peer is the one to talk to. It serves no model itself: the others do, each in ' +
      'another region by its own account, with the demo models. The last one is an archive too. ' +
      'They listen on free ports of this machine only, in a network of their own.',
    'A scenario starts its own peers, hurts them in the middle of their work, tells what happened, ' +
      'holds what a client got and what the receipts say against an undisturbed run, and ends: ' +
      'with exit code 0 if all of it held, else with 1. Those that cut or worsen cables do so in ' +
      'network namespaces, where this user may make some; elsewhere peers stand still instead.',
  ],
  examples: [
    ['pinaivu-peer testnet', 'Five peers, an endpoint and a key, and a live table'],
    ['pinaivu-peer testnet --peers 12 --keep', 'More of them; their logs are kept'],
    ['pinaivu-peer testnet --scenario kill-provider', 'A provider dies amid its answer'],
    ['pinaivu-peer testnet --scenario churn --seed 7', 'What went wrong with this seed, once more'],
    ['pinaivu-peer testnet --json', 'For programs: one line when they are ready, then events'],
  ],
  run: (input, io) => runTestnet(input, io, programPath),
}

/** This program, as it is run at the moment: compiled, or in a checkout perhaps not. */
const programPath = join(import.meta.dirname, `pinaivu-peer${extname(import.meta.filename)}`)

export async function runTestnet(input: Input, io: Io, program: string): Promise<number> {
  const { scenario, seed } = input.values
  if (typeof scenario === 'string') {
    const dir = typeof input.values['data-dir'] === 'string' ? input.dataDir : undefined
    return await runTestnetScenario({ name: scenario, dir }, input, io, program)
  }
  if (seed !== undefined) throw new UsageError('--seed is of a scenario: add --scenario NAME.')
  const report = input.json ? new JsonReport(io) : new PersonReport(io)
  const dir = input.values['data-dir']
  const net: Testnet = new Testnet({
    peers: numberOf(input, 'peers', { min: peersMin, max: peersMax, whole: true }) ?? peersDefault,
    programPath: program,
    env: io.env,
    keep: input.values.keep === true,
    onEvent: (event) => report.event(net, event),
    ...(typeof dir === 'string' ? { dir: input.dataDir } : {}),
  })
  const ended = new AbortController()
  const signal = AbortSignal.any([io.signal, ended.signal])
  const watch = () => watchTestnet(net, (rows) => report.figures(rows), signal)
  const began = performance.now()
  report.starting(net)
  let watching = report.wants === 'figures at once' ? watch() : undefined
  try {
    await net.start({ signal: io.signal })
    report.ready(net, Math.round(performance.now() - began))
    watching ??= report.wants === 'no figures' ? untilAborted(io.signal) : watch()
    await watching
    report.stopping(net)
  } catch (error) {
    if (error instanceof TestnetPeerError) print(io.stderr, ...error.log.map(safeLine))
    // Interrupted before it was up: that is what the user wanted.
    if (!io.signal.aborted) throw error
  } finally {
    ended.abort()
    await watching
    await net.stop()
  }
  return exitCodes.done
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}
