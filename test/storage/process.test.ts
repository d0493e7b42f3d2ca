import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { bytesValue, integerKey } from '../../src/storage/codec.ts'
import { openStore } from '../../src/storage/store.ts'
import { rounds } from '../campaign.ts'
import { allRows } from './rows.ts'
import { tempDir } from './temp-dir.ts'

const script = fileURLToPath(new URL('./commit-child.ts', import.meta.url))
const components = { logger: silentLogger }

interface Child {
  process: ChildProcess
  exited: Promise<unknown>
  lines: string[]
  /** Resolves when this many lines came. */
  printed(count: number): Promise<void>
}

function start(dir: string, mode: string): Child {
  const child = spawn(process.execPath, [script, dir, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'close')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines: string[] = []
  let rest = ''
  let wake = () => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    wake()
  })
  const printed = async (count: number) => {
    while (lines.length < count) {
      await new Promise<void>((resolve, reject) => {
        wake = resolve
        exited.then(() => reject(new Error(`the child ended after ${lines.length} lines`)))
      })
    }
  }
  return { process: child, exited, lines, printed }
}

describe('a process that is killed', () => {
  it('leaves every row whose commit had resolved, and never half a commit', async () => {
    const dir = await tempDir()
    // How much is written before each kill: during the first commits, and far into them.
    const killAfter = Array.from({ length: rounds(4, 40) }, (_, n) => [1, 2, 40, 300][n % 4] ?? 1)
    for (const count of killAfter) {
      const child = start(dir, 'commit')
      await child.printed(count)
      child.process.kill('SIGKILL')
      await child.exited
      const confirmed = child.lines.filter((line) => line !== 'open').map(Number)

      const store = await openStore(dir, components)
      const log = store.table('log', { key: integerKey, value: bytesValue })
      const mirror = store.table('mirror', { key: integerKey, value: bytesValue })
      const found = await log.getMany(confirmed)
      for (const [index, value] of found.entries()) {
        const n = confirmed[index] ?? 0
        expect(value, `row ${n} of ${confirmed.length}`).toEqual(new Uint8Array(n % 2000).fill(n))
      }
      expect(await allRows(log)).toEqual(await allRows(mirror))
      await store.close()
    }
  })
})

describe('two processes on one data folder', () => {
  it('the second is told so, and can open once the first is gone', async () => {
    const dir = await tempDir()
    const first = start(dir, 'hold')
    await first.printed(1)
    const refusal = await openStore(dir, components).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'data_dir_in_use' })
    expect(String(refusal)).toContain(dir)
    expect(String(refusal)).toContain('--data-dir')
    first.process.kill('SIGKILL')
    await first.exited
    await (await openStore(dir, components)).close()
  })

  it('so are two stores in one process', async () => {
    const dir = await tempDir()
    const store = await openStore(dir, components)
    await expect(openStore(dir, components)).rejects.toMatchObject({ code: 'data_dir_in_use' })
    await store.close()
  })
})
