import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { messageOf } from '../src/index.ts'
import type { Input, Option } from './command.ts'
import { CommandError, type Io, UsageError } from './io.ts'

export const passphraseOption: Option = {
  name: 'passphrase-file',
  placeholder: 'FILE',
  help: 'Take the passphrase from the first line of FILE.',
  defaultText: 'PINAIVU_PASSPHRASE, or asked for',
}

const variable = 'PINAIVU_PASSPHRASE'
/** A sentence is enough; what is longer is another file. */
const bytesMax = 4096

/** From the file, the variable or the terminal, in that order. `isNew`: asked for twice. */
export async function readPassphrase(
  { values }: Input,
  io: Io,
  { isNew }: { isNew: boolean },
): Promise<string> {
  const file = values['passphrase-file']
  const given = typeof file === 'string' ? await fromFile(file) : io.env[variable]
  if (given !== undefined) return unlessEmpty(given)
  if (io.stdin.isTTY !== true) {
    throw new UsageError(
      `There is no terminal to ask for the passphrase on. Give --passphrase-file or ${variable}.`,
    )
  }
  const passphrase = unlessEmpty(await ask('Passphrase: ', io))
  if (isNew && (await ask('Once more:  ', io)) !== passphrase) {
    throw new CommandError('These were two different passphrases. Nothing was written.')
  }
  return passphrase
}

function unlessEmpty(passphrase: string): string {
  if (passphrase !== '') return passphrase
  throw new UsageError(
    'The passphrase is empty. A backup has the key of the peer in it, and is never written unlocked.',
  )
}

async function fromFile(path: string): Promise<string> {
  try {
    const file = await open(path)
    try {
      const memory = Buffer.alloc(bytesMax + 1)
      const { bytesRead } = await file.read(memory, 0, memory.length, 0)
      if (bytesRead > bytesMax) throw new Error('it is too long')
      return memory.toString('utf8', 0, bytesRead).split(/\r?\n/)[0] ?? ''
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new CommandError(`Cannot read the passphrase from ${path}: ${messageOf(cause)}.`, {
      cause,
    })
  }
}

/** One line that is not shown. */
function ask(question: string, { stdin, stderr, signal }: Io): Promise<string> {
  stderr.write(question)
  // A terminal of its own to write to: what readline would echo goes nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true })
  const end = Promise.withResolvers<string>()
  const stop = () => end.reject(new CommandError('There was no passphrase. Nothing was written.'))
  lines.once('line', end.resolve)
  lines.once('SIGINT', stop)
  lines.once('close', stop)
  signal.addEventListener('abort', stop, { once: true })
  return end.promise.finally(() => {
    signal.removeEventListener('abort', stop)
    lines.close()
    stderr.write('\n')
  })
}
