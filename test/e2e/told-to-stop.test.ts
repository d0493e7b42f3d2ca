import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { slowF32 } from '../gguf/lane.ts'
import { ask, type PeerProcess, runProgram, startPeer, temporaryFolder } from './peer-process.ts'

const MODEL = 'slow'
const SLOW = { timeout: 60_000 }

/** A peer whose answers take long, in a folder of its own. */
async function start(...args: string[]) {
  const folder = temporaryFolder()
  const peer = await startPeer({
    dataDir: folder.path,
    args: ['--no-demo', '--reproducible', '--model', `${MODEL}=${slowF32()}`, ...args],
  })
  onTestFinished(async () => {
    await peer.kill()
    folder.remove()
  })
  return { peer, dataDir: folder.path }
}

/** An answer of so many tokens, of which the first is there. */
async function begun({ ready }: PeerProcess, tokens: number) {
  const answer = await ask(ready, '/v1/chat/completions', {
    ...{ model: MODEL, stream: true, temperature: 0, max_tokens: tokens },
    messages: [{ role: 'user', content: 'Go on.' }],
  })
  expect(answer.status).toBe(200)
  const pieces = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const read = async () => {
    const { value, done } = (await pieces?.read()) ?? { done: true }
    text += value ?? ''
    return !done
  }
  await read()
  const rest = async () => {
    while (await read());
    return text
  }
  return { rest }
}

/** It takes nobody any more, so it has heard the signal. */
const isLeaving = ({ ready }: PeerProcess) =>
  vi.waitUntil(
    () =>
      fetch(`${ready.http}/healthz`).then(
        () => false,
        () => true,
      ),
    { interval: 20 },
  )

describe('a running peer', () => {
  it('reads its configuration again, and ends its answers before itself', SLOW, async () => {
    const { peer, dataDir } = await start('--drain', '50')
    const { rest } = await begun(peer, 60)
    writeFileSync(join(dataDir, 'config.toml'), 'price = "cheap"\n')
    peer.child.kill('SIGHUP')
    await vi.waitUntil(() => peer.log().includes('line 1, price: expected'), { interval: 20 })
    writeFileSync(join(dataDir, 'config.toml'), 'price = "40/120"\n')
    expect(await runProgram(['config', 'reload', '--data-dir', dataDir])).toMatchObject({ code: 0 })
    const event = await peer.event(({ event: name }) => name === 'reloaded')
    expect(event).toMatchObject({ changed: ['price'], needs_restart: [] })
    const exit = once(peer.child, 'exit')
    peer.child.kill('SIGTERM')
    await isLeaving(peer)
    const text = await rest()
    expect(text).toContain('"finish_reason":"length"')
    expect(text).toMatch(/data: \[DONE\]\n\n$/)
    expect(await exit).toEqual([0, null])
  })

  it('ends at once when it is told a second time', SLOW, async () => {
    const { peer } = await start('--drain', '3600')
    const { rest } = await begun(peer, 100_000)
    const exit = once(peer.child, 'exit')
    peer.child.kill('SIGTERM')
    await isLeaving(peer)
    peer.child.kill('SIGTERM')
    expect(await exit).toEqual([1, null])
    await expect(rest()).rejects.toThrow()
  })
})
