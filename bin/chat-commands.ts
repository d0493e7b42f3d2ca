import { didYouMean } from '../src/index.ts'

/** What can be typed instead of a message. */
export const chatCommands = [
  {
    name: 'model',
    argument: '[NAME]',
    help: 'list the models, or talk to another one from now on',
  },
  { name: 'system', argument: '[TEXT]', help: 'show or set what the model is told beforehand' },
  { name: 'save', argument: 'FILE', help: 'write the conversation: JSON for .json, else Markdown' },
  { name: 'load', argument: 'FILE', help: 'go on with a conversation that was saved as JSON' },
  {
    name: 'receipt',
    help: 'who wrote the last answer, its cost, and what of it is proved',
  },
  { name: 'retry', help: 'ask the last question again' },
  { name: 'clear', help: 'forget what was said' },
  { name: 'help', help: 'show this' },
  { name: 'bye', help: 'leave; so does Ctrl-D' },
] as const satisfies readonly { name: string; argument?: string; help: string }[]

type Name = (typeof chatCommands)[number]['name']

const aliases: Readonly<Record<string, Name>> = {
  exit: 'bye',
  quit: 'bye',
  '?': 'help',
  models: 'model',
  regenerate: 'retry',
}

export interface ChatCommand {
  name: Name
  argument: string
  /** `/save! FILE`: over what stands there. */
  isForced: boolean
}

/** Reads a line that begins with a slash; gives a sentence where it is none that is known. */
export function parseChatCommand(text: string): ChatCommand | { says: string } {
  const [word = ''] = text.split(/\s/, 1)
  const argument = text.slice(word.length).trim()
  const isForced = word === '/save!'
  const wanted = (isForced ? '/save' : word).slice(1).toLowerCase()
  const known = chatCommands.find(({ name }) => name === (aliases[wanted] ?? wanted))
  if (known === undefined) {
    const names = [...chatCommands.map(({ name }) => name), ...Object.keys(aliases)]
    const hint = wanted === '' ? '' : didYouMean(wanted, names, '/')
    return { says: `There is no ${word}.${hint} /help shows all; // sends a line with a slash.` }
  }
  if (argument !== '' && !('argument' in known)) {
    return { says: `Nothing may follow /${known.name}. To send the line as it is: /${text}` }
  }
  if (argument === '' && 'argument' in known && !known.argument.startsWith('[')) {
    return { says: `Say which: /${known.name} ${known.argument}` }
  }
  return { name: known.name, argument: argument, isForced }
}

export function helpLines(): string[] {
  const rows = chatCommands.map((command) => {
    const argument = 'argument' in command ? ` ${command.argument}` : ''
    return [`/${command.name}${argument}`, command.help] as const
  })
  const keys = [
    ['"""', 'begins and ends a message of many lines; or end a line with \\'],
    ['//', 'sends a line that begins with a slash'],
    ['Ctrl-C', 'stops an answer; twice leaves'],
    ['↑ ↓', 'earlier lines; one that begins with a space is not kept'],
  ] as const
  const width = Math.max(...rows.map(([name]) => name.length))
  return [...rows, ...keys].map(([name, help]) => `${name.padEnd(width)}   ${help}`)
}

/** `"some text"` and `some text` are the same; quotes are for what would mean something else. */
export function unquoted(argument: string): string {
  const [, inner] = /^"([\s\S]*)"$/.exec(argument) ?? []
  return inner ?? argument
}
