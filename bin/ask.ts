import { createInterface } from 'node:readline/promises'
import type { Licence } from '../src/index.ts'
import type { Io } from './io.ts'
import { licenceText } from './pull-progress.ts'
import { safeLine } from './text.ts'

/** Asks the person at the terminal; where there is none, what was said on the command line counts. */
export function agreeing(
  io: Io,
  { accepted, json }: { accepted: boolean; json: boolean },
): (licence: Licence) => Promise<boolean> {
  return async (licence) => {
    if (accepted) return true
    if (json || io.stdin.isTTY !== true || io.stdout.isTTY !== true) return false
    const lines = createInterface({ input: io.stdin })
    try {
      const text = `Do you agree to the licence ${licenceText(licence)}? [y/N] `
      io.stdout.write(safeLine(text))
      const { value = '' } = await nextLine(lines, io.signal)
      return /^y(es)?$/i.test(value.trim())
    } finally {
      lines.close()
    }
  }
}

/** The end of the input, or of the program, is no answer. */
async function nextLine(
  lines: ReturnType<typeof createInterface>,
  signal: AbortSignal,
): Promise<{ value?: string }> {
  return await new Promise((resolve) => {
    lines.once('line', (value) => resolve({ value }))
    lines.once('close', () => resolve({}))
    signal.addEventListener('abort', () => resolve({}), { once: true })
  })
}
