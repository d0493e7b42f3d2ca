import { homedir } from 'node:os'
import {
  aliasOf,
  changeConfig,
  configPath,
  defaultOf,
  type EditContext,
  explainConfig,
  type FoundSetting,
  InvalidError,
  knownSetting,
  messageOf,
  readConfig,
  setOption,
  settingList,
  unsetOption,
} from '../src/index.ts'
import { type Command, type Input, optionOf } from './command.ts'
import { exitCodes, type Io, print, tableWidthOf, UsageError } from './io.ts'
import { paintFor, safeJson, safeLine, table } from './text.ts'

/** What holds for one key, and who says so. */
interface Row {
  key: string
  value: string | readonly string[] | null
  source: FoundSetting['source']
  /** The source in the user's own words; a default that is no value is told here. */
  place: string
}

export const configGet: Command = {
  name: 'config get',
  operands: '[KEY]',
  operandsMax: 1,
  summary: 'Show what a peer would be started with, and where each value comes from.',
  options: settingList.map((setting) => ({ ...optionOf(setting), group: setting.group })),
  details: [
    'An option counts before a variable, a variable before config.toml. The options of "start" may ' +
      'be given to see what they would do. What a running peer was started with, it does not show.',
  ],
  examples: [
    ['pinaivu-peer config get', 'Every setting'],
    ['pinaivu-peer config get price', 'One of them'],
    ['pinaivu-peer config get aliases.gpt-4o-mini --json', 'For programs: one JSON object'],
  ],
  async run(input, io) {
    const rows = rowsOf(input, io)
    const [key] = input.operands
    const wanted = key === undefined ? rows : [rowOf(key, rows)]
    if (input.json) print(io.stdout, safeJson(key === undefined ? wanted : wanted[0]))
    else print(io.stdout, ...lines(wanted, io))
    return exitCodes.done
  },
}

export const configSet: Command = {
  name: 'config set',
  operands: 'KEY VALUE…',
  operandsMax: Number.POSITIVE_INFINITY,
  summary: 'Write a setting or an alias into config.toml. Comments and order stay.',
  options: [],
  details: [
    'A running peer takes over prices, aliases and limits with "pinaivu-peer config reload"; the ' +
      'rest counts from its next start on.',
  ],
  examples: [
    ['pinaivu-peer config set price 40/120', 'Ask for credits'],
    ['pinaivu-peer config set model phi-4=~/phi-4.gguf ~/qwen.gguf', 'A list, as a whole'],
    ['pinaivu-peer config set aliases.gpt-4o-mini llama3.2:1b', 'Another name for a model'],
  ],
  async run(input, io) {
    const [key, ...words] = input.operands
    if (key === undefined || words.length === 0) {
      throw new UsageError('Say what to set to what: pinaivu-peer config set KEY VALUE…')
    }
    const context = contextOf(input)
    const change = (text: string) => setOption(text, key, words, context)
    const changed = await changeConfig(input.dataDir, change, io)
    return tell(input, io, { key, changed, said: changed ? 'is set' : 'was set so before' })
  },
}

export const configUnset: Command = {
  name: 'config unset',
  operands: 'KEY',
  operandsMax: 1,
  summary: 'Take a setting or an alias out of config.toml: its default counts again.',
  options: [],
  examples: [
    ['pinaivu-peer config unset price', 'Work for free again'],
    ['pinaivu-peer config unset aliases.gpt-4o-mini', 'One alias less'],
  ],
  async run(input, io) {
    const [key] = input.operands
    if (key === undefined) throw new UsageError('Say which: pinaivu-peer config unset KEY')
    const context = contextOf(input)
    const change = (text: string) => unsetOption(text, key, context)
    const changed = await changeConfig(input.dataDir, change, io)
    return tell(input, io, { key, changed, said: changed ? 'is out' : 'was not in there' })
  },
}

export const configPathCommand: Command = {
  name: 'config path',
  summary: 'Show where config.toml is, or would be.',
  options: [],
  examples: [['$EDITOR "$(pinaivu-peer config path)"', 'Change it by hand']],
  async run(input, io) {
    const path = configPath(input.dataDir)
    print(io.stdout, input.json ? safeJson({ path }) : path)
    return exitCodes.done
  },
}

function contextOf({ dataDir }: Input): EditContext {
  return { path: configPath(dataDir), folder: dataDir, cwd: process.cwd(), home: homedir() }
}

interface Told {
  key: string
  changed: boolean
  said: string
}

/** What was done, and whether a start would still say no. */
function tell(input: Input, io: Io, { key, changed, said }: Told): number {
  const path = configPath(input.dataDir)
  const refusal = refusalOf(input, io)
  if (input.json) print(io.stdout, safeJson({ key, changed, path, start_refuses: refusal ?? null }))
  else {
    print(io.stdout, safeLine(`${key} ${said} (${path}).`))
    if (refusal !== undefined) {
      const paint = paintFor(io.stderr, io.env)
      const text = `a peer would not start with it yet: ${refusal}`
      print(io.stderr, `${paint('yellow', 'Note:')} ${safeLine(text)}`)
    }
  }
  return exitCodes.done
}

/** Some settings are only right together, and can be set only one after the other. */
function refusalOf({ dataDir }: Input, { env }: Io): string | undefined {
  try {
    readConfig({ flags: { 'data-dir': dataDir }, env })
    return undefined
  } catch (error) {
    if (error instanceof InvalidError) return messageOf(error)
    throw error
  }
}

function rowsOf({ values }: Input, { env }: Io): Row[] {
  const { settings, aliases, path } = explainConfig({ flags: values, env })
  return [
    ...settings.map(rowOfSetting),
    ...Object.entries(aliases).map(([alias, name]): Row => {
      return { key: `aliases.${alias}`, value: name, source: 'file', place: path }
    }),
  ]
}

function rowOfSetting({ setting, source, place, texts }: FoundSetting): Row {
  const { flag, kind } = setting
  const value = kind === 'many' ? texts : (texts.at(-1) ?? null)
  const unsaid = texts.length === 0 && source === 'default' ? defaultOf(setting) : ''
  return { key: flag, value, source, place: unsaid === '' ? place : `default: ${unsaid}` }
}

function rowOf(key: string, rows: readonly Row[]): Row {
  const alias = aliasOf(key)
  const name = alias === undefined ? key : `aliases.${alias}`
  const found = rows.find((row) => row.key === name)
  if (found !== undefined) return found
  if (alias !== undefined) throw new InvalidError(key, `There is no alias "${alias}".`)
  throw new InvalidError(key, `${knownSetting(key).flag} has no value.`)
}

function lines(rows: readonly Row[], io: Io): string[] {
  const columns = [
    { title: 'KEY' },
    { title: 'VALUE', shrink: true, widthMax: 60 },
    { title: 'FROM', shrink: true },
  ]
  const cells = rows.map(({ key, value, place }) => [key, [value ?? '-'].flat().join(', '), place])
  const shown = cells.map((row) => row.map((cell) => (cell === '' ? '-' : cell)))
  return table(columns, shown, tableWidthOf(io.stdout), paintFor(io.stdout, io.env))
}
