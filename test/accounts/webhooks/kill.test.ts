import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { rounds } from '../../campaign.ts'
import { tempDir } from '../../storage/temp-dir.ts'
import { openHooks } from './real-hooks.ts'
import { startReceiver } from './receiver.ts'

const script = fileURLToPath(new URL('./emit-child.ts', import.meta.url))

/** Runs until it has printed so many numbers, and is killed. Resolves with all that it printed. */
async function emitUntil(count: number, dir: string, url: string, from: number) {
  const child = spawn(process.execPath, [script, dir, url, `${from}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const closed = once(child, 'close')
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
    if (text.split('\n').length > count + 1) child.kill('SIGKILL')
  })
  await closed
  return text.split('\n').slice(1, -1).map(Number)
}

it('what a killed process had acknowledged is delivered by the next, each under one id', async () => {
  const dir = await tempDir()
  const receiver = await startReceiver()
  const url = `http://127.0.0.1:${receiver.port}/`
  const acknowledged: number[] = []
  for (let round = 0; round < rounds(3, 30); round++) {
    const numbers = await emitUntil([1, 20, 150][round % 3] ?? 1, dir, url, round * 1_000_000)
    expect(numbers.length).toBeGreaterThan(0)
    acknowledged.push(...numbers)
  }
  const { store, webhooks } = await openHooks(dir)
  await webhooks.start()
  const heard = new Map<number, Set<string>>()
  const missing = () => {
    for (const { body } of receiver.got.splice(0)) {
      const { id, data } = JSON.parse(body)
      heard.set(data.object.n, (heard.get(data.object.n) ?? new Set()).add(id))
    }
    return acknowledged.filter((n) => !heard.has(n))
  }
  await expect.poll(missing, { timeout: 60_000 }).toEqual([])
  await webhooks.stop()
  await store.close()
  expect([...heard.values()].filter((ids) => ids.size !== 1)).toEqual([])
})
