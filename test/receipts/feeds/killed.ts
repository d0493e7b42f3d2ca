import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'

/** The longest a child lives; most are killed during their first writes. */
export const LIFE_MS_MAX = 200

/** Runs a program of this folder, kills it at some moment, and returns the lines it had printed. */
export async function killed(
  program: string,
  args: readonly string[],
  afterMs: number,
): Promise<string[]> {
  const script = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'close')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    // Its life begins with its first line: starting takes longer on a busy machine.
    if (text === '') setTimeout(() => child.kill('SIGKILL'), afterMs)
    text += more
  })
  expect((await exited)[1]).toBe('SIGKILL')
  return text.split('\n').slice(0, -1)
}
