import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stage } from '../bin/stage.ts'
import { root } from './document.ts'

// Looks at command lines that can't be run: whether their commands, options and values exist.

/** A peer id that has a key in it. */
export const anyPeer = '12D3KooWSzirDoa2o9nsVn71AN6Xm4dS9NWURDW5vzVKjLBKweVu'

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What else may stand in a line that is not run. */
const tools = ['npm', 'docker', 'systemctl', 'loginctl']
const npmWords = ['install', 'i', 'test', 'start', 'ci']

/** Each command in a block, without comments and with its lines put together. */
export function commandLines(text: string): string[] {
  return text
    .replaceAll('\\\n', ' ')
    .split(/\n|&&/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '')
}

/** Why this line would be refused; undefined where nothing speaks against it. */
export async function faultOf(line: string): Promise<string | undefined> {
  const [first = '', second = '', ...rest] = wordsOf(line.replace(/^sudo /, ''))
  if (first === 'npx' && second === 'pinaivu-peer') return await programFault(rest)
  if (first === 'pinaivu-peer') return await programFault([second, ...rest])
  if (first === 'npm' && second === 'run') {
    const [script = '', ...more] = rest
    if (scripts[script] === undefined) return `there is no script "${script}"`
    const args = more.slice(more.indexOf('--') + 1)
    return script === 'testnet' ? await programFault([script, ...args]) : undefined
  }
  if (first === 'npm' && !npmWords.includes(second)) return `npm ${second} is not known here`
  return tools.includes(first) ? undefined : `"${first}" is not known here`
}

export const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')

async function programFault(words: readonly string[]): Promise<string | undefined> {
  const args = words.filter((word) => word !== '').map(filled)
  // With --help a command line is read as any other, and nothing is done.
  const fault = await refusal([...args, '--help'])
  if (fault !== undefined || args.includes('…')) return fault
  const [command = 'start', ...options] = args
  if (command === 'config' && options[0] === 'set') return await settingFault(options.slice(1))
  if (!['start', 'doctor'].includes(command)) return undefined
  // It reads the values as a start would.
  return await refusal(['config', 'get', ...options])
}

const filled = (word: string): string => word.replace('12D3Koo…', anyPeer)

/** As an option, a setting is checked without a file that it is written into. */
async function settingFault([key = '', ...values]: readonly string[]): Promise<string | undefined> {
  if (key.startsWith('aliases.')) return undefined
  const value = key === 'roles' ? [values.join(',')] : values
  const isSwitch = ['true', 'false'].includes(values[0] ?? '')
  const options = isSwitch ? [`--${key}`] : value.flatMap((each) => [`--${key}`, each])
  return await refusal(['config', 'get', ...options])
}

async function refusal(args: readonly string[]): Promise<string | undefined> {
  const io = stage()
  const code = await io.run(...args)
  return code === 0 ? undefined : `${args.join(' ')}: ${io.stderr.text}`
}

/** The names of all commands, and the options of each. */
export async function commandOptions(): Promise<Map<string, string[]>> {
  const names = [...(await helpOf()).matchAll(/^ {2}([a-z]+(?: [a-z]+)?)(?=[ \n])/gm)]
  const found = new Map<string, string[]>()
  for (const [, name = ''] of names) {
    const help = await helpOf(...name.split(' '))
    found.set(
      name,
      [...help.matchAll(/--([a-z][a-z-]*)/g)].map(([, option]) => option ?? ''),
    )
  }
  return found
}

async function helpOf(...words: string[]): Promise<string> {
  const io = stage()
  await io.run(...words, '--help')
  return io.stdout.text
}
