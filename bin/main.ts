import { didYouMean, InvalidError, messageOf, PeerError, version } from '../src/index.ts'
import { backup } from './backup.ts'
import { chat } from './chat.ts'
import { type Command, parseCommandLine } from './command.ts'
import { configGet, configPathCommand, configSet, configUnset } from './config.ts'
import { configReload } from './config-reload.ts'
import { credits, creditsAudit, creditsGrant, creditsOwed } from './credits.ts'
import { doctor } from './doctor.ts'
import { commandHelp, groupHelp, type HelpStyle, programHelp } from './help.ts'
import { CommandError, columnsOf, exitCodes, type Io, print, UsageError } from './io.ts'
import { keysCreate, keysList, keysRevoke, keysRotate } from './keys.ts'
import { models } from './models.ts'
import { modelsPull } from './models-pull.ts'
import { modelsList, modelsRemove, modelsShow } from './models-stored.ts'
import { peers } from './peers.ts'
import { receiptsGet, receiptsList, receiptsVerify } from './receipts.ts'
import { receiptsExport } from './receipts-export.ts'
import { restore } from './restore.ts'
import { serviceInstall, serviceStatusCommand, serviceUninstall } from './service.ts'
import { start } from './start.ts'
import { status } from './status.ts'
import { testnet } from './testnet.ts'
import { paintFor, safeLine, safeText } from './text.ts'
import { upgrade } from './upgrade.ts'
import { usage } from './usage.ts'

const commands: readonly Command[] = [
  start,
  chat,
  status,
  peers,
  models,
  modelsPull,
  modelsList,
  modelsShow,
  modelsRemove,
  keysList,
  keysCreate,
  keysRotate,
  keysRevoke,
  credits,
  creditsGrant,
  creditsAudit,
  creditsOwed,
  usage,
  receiptsList,
  receiptsGet,
  receiptsVerify,
  receiptsExport,
  backup,
  restore,
  testnet,
  doctor,
  configGet,
  configSet,
  configUnset,
  configPathCommand,
  configReload,
  serviceInstall,
  serviceUninstall,
  serviceStatusCommand,
  upgrade,
]

/** Runs one command line to its end and gives the exit code. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const style: HelpStyle = { paint: paintFor(io.stdout, io.env), columns: columnsOf(io.stdout) }
  let command: Command | undefined
  try {
    const [first = ''] = args
    if (helpWords.includes(first)) {
      print(io.stdout, ...helpOn(wordsOf(args.slice(1)), style))
      return exitCodes.done
    }
    const { name, rest } = split(args)
    if (groupOf(name).length > 0 && wordsOf(rest) === '') {
      print(io.stdout, ...helpOn(name, style))
      return exitCodes.done
    }
    command = find(name)
    const input = parseCommandLine(command, rest, io.env)
    if (input.values.help === true) print(io.stdout, ...commandHelp(command, style))
    else if (input.values.version === true) print(io.stdout, version)
    else return await command.run(input, io)
    return exitCodes.done
  } catch (error) {
    return report(error, command, io)
  }
}

const helpWords: readonly string[] = ['--help', '-h', 'help']

/** The words before the first option. */
function wordsOf(args: readonly string[]): string {
  const option = args.findIndex((word) => word.startsWith('-'))
  return args.slice(0, option < 0 ? args.length : option).join(' ')
}

/** The commands that `keys` is the first word of, when it is none itself. */
const groupOf = (name: string): Command[] =>
  namesOf(commands).includes(name)
    ? []
    : commands.filter((command) => command.name.startsWith(`${name} `))

function helpOn(about: string, style: HelpStyle): string[] {
  if (about === '') return programHelp(commands, style)
  const group = groupOf(about)
  return group.length > 0 ? groupHelp(about, group, style) : commandHelp(find(about), style)
}

/** Separates a command's name, of one word or two, from what follows it. */
function split(args: readonly string[]): { name: string; rest: readonly string[] } {
  const [first, second] = args
  if (first === undefined || first.startsWith('-')) return { name: start.name, rest: args }
  const two = `${first} ${second ?? ''}`
  const inner = groupOf(first).length > 0 && second !== undefined && !second.startsWith('-')
  if (inner || namesOf(commands).includes(two)) return { name: two, rest: args.slice(2) }
  return { name: first, rest: args.slice(1) }
}

const namesOf = (list: readonly Command[]): string[] =>
  list.flatMap((command) => [command.name, ...(command.aliases ?? [])])

function find(name: string): Command {
  const found = commands.find((command) => namesOf([command]).includes(name))
  if (found !== undefined) return found
  throw new UsageError(`There is no command "${name}".${didYouMean(name, namesOf(commands))}`)
}

/** Tells a failure in the words that fit it, and gives the exit code. */
function report(error: unknown, command: Command | undefined, io: Io): number {
  const paint = paintFor(io.stderr, io.env)
  const say = (text: string) => print(io.stderr, `${paint('red', 'Error:')} ${safeLine(text)}`)
  if (error instanceof UsageError || error instanceof InvalidError) {
    const name = command === undefined ? '' : ` ${command.name}`
    say(error.message)
    print(io.stderr, `See "pinaivu-peer${name} --help".`)
    return exitCodes.wrongUse
  }
  // Whatever fails after the user asked for the end fails because of that.
  if (io.signal.aborted) return exitCodes.failed
  if (error instanceof CommandError || error instanceof PeerError) {
    say(error.message)
    return exitCodes.failed
  }
  say(`something unexpected went wrong: ${messageOf(error)}`)
  if (error instanceof Error && error.stack !== undefined) {
    print(io.stderr, paint('dim', safeText(error.stack)))
  }
  return exitCodes.failed
}
