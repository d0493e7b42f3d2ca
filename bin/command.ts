import { parseArgs } from 'node:util'
import { defaultOf, didYouMean, type FlagValues, findDataDir, settingList } from '../src/index.ts'
import { type Io, UsageError } from './io.ts'

/** An option as its command reads it and as its help shows it. */
export interface Option {
  name: string
  short?: string
  /** Stands for the value; without one the option is a switch. */
  placeholder?: string
  many?: boolean
  negatable?: boolean
  help: string
  defaultText?: string
  group?: string
}

export interface Command {
  /** One word or two: `start`, `keys create`. */
  name: string
  aliases?: readonly string[]
  /** What may follow besides options, as help shows it: `[MODEL]`. */
  operands?: string
  operandsMax?: number
  summary: string
  details?: readonly string[]
  options: readonly Option[]
  /** Values that need more than a line, each with its meaning. */
  lists?: readonly { title: string; rows: readonly (readonly [name: string, meaning: string])[] }[]
  examples: readonly (readonly [line: string, meaning: string])[]
  /** What to say about an option that is not there, when the command knows better. */
  unknownOption?: (name: string) => string
  run(input: Input, io: Io): Promise<number>
}

/** A command line that was understood. */
export interface Input {
  values: FlagValues
  operands: readonly string[]
  json: boolean
  dataDir: string
}

/** A setting of the peer as an option of a command. */
export function optionOf(setting: (typeof settingList)[number]): Option {
  return {
    name: setting.flag,
    help: setting.help,
    many: setting.kind === 'many' && !setting.commas,
    negatable: setting.negatable,
    defaultText: defaultOf(setting),
    ...(setting.placeholder === undefined ? {} : { placeholder: setting.placeholder }),
  }
}

/** Options that every command has. */
export const commonOptions: readonly Option[] = [
  { name: 'json', help: 'Print JSON: one value, or one object a line for streams.' },
  ...settingList.filter(({ key }) => key === 'dataDir').map(optionOf),
  { name: 'help', short: 'h', help: 'Show this help.' },
  { name: 'version', short: 'v', help: 'Show the version.' },
]

export function allOptions(command: Command): Option[] {
  const own = command.options.map((option) => option.name)
  return [...command.options, ...commonOptions.filter(({ name }) => !own.includes(name))]
}

/** Reads the arguments behind a command's name. Throws a UsageError that says what is wrong. */
export function parseCommandLine(command: Command, args: readonly string[], env: Io['env']): Input {
  const options = allOptions(command)
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(options.flatMap(entriesOf)),
  })
  const values: Record<string, string | boolean | string[]> = {}
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const option = options.find((each) => namesOf(each).includes(token.name))
    if (option === undefined) throw new UsageError(unknownText(command, token))
    const value = tokenValue(option, token)
    const before = values[token.name]
    if (option.many === true && typeof value === 'string') {
      values[token.name] = [...(Array.isArray(before) ? before : []), value]
    } else values[token.name] = value
  }
  if (operands.length > (command.operandsMax ?? 0)) {
    const last = operands.at(command.operandsMax ?? 0) ?? ''
    throw new UsageError(`"${command.name}" has no use for "${last}".`)
  }
  // Help must come out whatever else is wrong with the line.
  const dataDir = values.help === true ? '' : findDataDir({ flags: values, env })
  return { values, operands, json: values.json === true, dataDir }
}

type OptionToken = {
  name: string
  rawName: string
  value?: string | undefined
  inlineValue?: boolean | undefined
}

function entriesOf(option: Option): [string, { type: 'string' | 'boolean'; short?: string }][] {
  const type = option.placeholder === undefined ? 'boolean' : 'string'
  const own = { type, ...(option.short === undefined ? {} : { short: option.short }) } as const
  const off = [`no-${option.name}`, { type: 'boolean' }] as const
  return [
    [option.name, own],
    ...(option.negatable === true ? [[...off] as [string, { type: 'boolean' }]] : []),
  ]
}

const namesOf = (option: Option): string[] =>
  option.negatable === true ? [option.name, `no-${option.name}`] : [option.name]

function tokenValue(option: Option, token: OptionToken): string | boolean {
  if (option.placeholder === undefined || token.name !== option.name) {
    if (token.value === undefined) return true
    throw new UsageError(`${token.rawName} takes no value.`)
  }
  const { value } = token
  // `--http --json`: the value was forgotten. What begins with a dash can be said with "=".
  if (value === undefined || (value.startsWith('-') && token.inlineValue !== true)) {
    throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${option.placeholder}`)
  }
  return value
}

function unknownText(command: Command, { name, rawName }: OptionToken): string {
  const special = command.unknownOption?.(name)
  if (special !== undefined) return `${rawName}: ${special}`
  const names = allOptions(command).flatMap(namesOf)
  return `"${command.name}" has no option ${rawName}.${didYouMean(name, names, '--')}`
}

export interface NumberRange {
  min: number
  max?: number
  whole?: boolean
}

/** The number that an option of a command was given. */
export function numberOf(
  { values }: Input,
  name: string,
  { min, max = Number.MAX_SAFE_INTEGER, whole = false }: NumberRange,
): number | undefined {
  const text = values[name]
  if (typeof text !== 'string') return undefined
  const number = text.trim() === '' ? Number.NaN : Number(text)
  if (number >= min && number <= max && (!whole || Number.isInteger(number))) return number
  const what = whole ? 'a whole number' : 'a number'
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw new UsageError(`--${name}: expected ${what} ${range}, got "${text}".`)
}
