import { allOptions, type Command, type Option } from './command.ts'
import { type Paint, widthOf, wrap } from './text.ts'

const program = 'pinaivu-peer'
const indent = 2
/** Options that are longer than this have their text on the next line. */
const optionWidthMax = 30

export interface HelpStyle {
  paint: Paint
  columns: number
}

/** What `pinaivu-peer --help` prints. */
export function programHelp(commands: readonly Command[], style: HelpStyle): string[] {
  const width = Math.max(...commands.map((command) => usageOf(command).length)) + indent
  return [
    'A peer-to-peer inference node with an OpenAI-compatible endpoint.',
    '',
    `Usage: ${program} [command] [options]`,
    '',
    ...section('Commands', style),
    ...commands.flatMap((command) => row(usageOf(command), command.summary, width, style)),
    '',
    `Without a command, "start" is meant. "${program} COMMAND --help" tells more.`,
    'Exit codes: 0 done, 1 failed, 2 wrong use.',
  ]
}

/** What `pinaivu-peer keys` prints: the commands that begin with that word. */
export function groupHelp(name: string, commands: readonly Command[], style: HelpStyle): string[] {
  const width = Math.max(...commands.map((command) => usageOf(command).length)) + indent
  return [
    `Usage: ${program} ${name} COMMAND [options]`,
    '',
    ...section('Commands', style),
    ...commands.flatMap((command) => row(usageOf(command), command.summary, width, style)),
    '',
    ...section('Examples', style),
    ...commands.flatMap(examplesOf(style)),
    '',
    `"${program} ${name} COMMAND --help" tells more.`,
  ]
}

const examplesOf =
  ({ paint }: HelpStyle) =>
  (command: Command): string[] =>
    command.examples.flatMap(([line, meaning]) => [
      `  ${paint('dim', `# ${meaning}`)}`,
      `  ${line}`,
    ])

/** What `pinaivu-peer COMMAND --help` prints. */
export function commandHelp(command: Command, style: HelpStyle): string[] {
  const options = allOptions(command)
  const groups = [...new Set(options.map((option) => option.group ?? 'Options'))]
  const width = Math.min(
    optionWidthMax,
    Math.max(...options.map((option) => signature(option).length)) + indent,
  )
  return [
    command.summary,
    '',
    `Usage: ${program} ${usageOf(command)} [options]`,
    ...groups.flatMap((group) => [
      '',
      ...section(group, style),
      ...options
        .filter((option) => (option.group ?? 'Options') === group)
        .flatMap((option) => row(signature(option), describe(option), width, style)),
    ]),
    ...(command.lists ?? []).flatMap(({ title, rows }) => [
      '',
      ...section(title, style),
      ...rows.flatMap(([name, meaning]) => row(name, meaning, width, style)),
    ]),
    ...(command.details ?? []).flatMap((text) => ['', ...wrap(text, style.columns)]),
    '',
    ...section('Examples', style),
    ...examplesOf(style)(command),
  ]
}

const usageOf = (command: Command): string =>
  [command.name, command.operands ?? []].flat().join(' ')

const section = (title: string, { paint }: HelpStyle): string[] => [paint('bold', `${title}:`)]

function signature({ name, short, placeholder, negatable }: Option): string {
  const long = placeholder === undefined ? `--${name}` : `--${name} ${placeholder}`
  return [short === undefined ? [] : `-${short}`, long, negatable === true ? `--no-${name}` : []]
    .flat()
    .join(', ')
}

function describe({ help, many, defaultText }: Option): string {
  const repeat = many === true ? ' Can be repeated.' : ''
  const known = defaultText === undefined || defaultText === '' ? '' : ` [default: ${defaultText}]`
  return `${help}${repeat}${known}`
}

function row(left: string, right: string, width: number, { columns }: HelpStyle): string[] {
  const margin = ' '.repeat(indent + width)
  const lines = wrap(right, columns - margin.length)
  const start = ' '.repeat(indent) + left
  if (widthOf(left) >= width) return [start, ...lines.map((line) => margin + line)]
  return lines.map((line, i) => (i === 0 ? start.padEnd(margin.length) : margin) + line)
}
