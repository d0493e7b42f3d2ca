import { type ChildProcess, fork } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { FromEngine, ToEngine } from '../../../src/engines/llama/ipc.ts'
import { ask, chatModel } from './core-harness.ts'

const entry = join(dirname(fileURLToPath(import.meta.url)), '../../../src/engines/llama/child.ts')
let child: ChildProcess | undefined

afterEach(() => {
  child?.kill('SIGKILL')
})

function start(): { child: ChildProcess; send: (message: ToEngine) => void; output: string[] } {
  const forked = fork(entry, {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child = forked
  const output: string[] = []
  forked.stdout?.on('data', (data) => output.push(String(data)))
  return { child: forked, send: (message) => void forked.send(message), output }
}

const exited = (process: ChildProcess) =>
  new Promise<number | null>((resolve) => process.once('exit', resolve))

const heard = (process: ChildProcess, until: (message: FromEngine) => boolean) =>
  new Promise<FromEngine[]>((resolve) => {
    const messages: FromEngine[] = []
    process.on('message', (message) => {
      messages.push(message as FromEngine)
      if (until(message as FromEngine)) resolve(messages)
    })
  })

describe('the engine process', () => {
  it('loads, answers, says nothing on stdout, and ends when its peer is gone', async () => {
    const { child, send, output } = start()
    const ready = heard(child, ({ type }) => type === 'ready' || type === 'load-failed')
    send({ type: 'load', options: { modelPath: chatModel, gpu: false, threads: 1 } })
    expect((await ready).at(-1)?.type).toBe('ready')
    const answered = heard(
      child,
      (message) =>
        message.type === 'chunks' && message.chunks.some(([, chunk]) => chunk.type === 'done'),
    )
    const work = ask('What is a peer?')
    send({ type: 'run', run: 1, job: { id: 'job_1', model: 'x', work, cacheScope: 'a' } })
    const text = (await answered)
      .flatMap((message) => (message.type === 'chunks' ? message.chunks : []))
      .flatMap(([, chunk]) => (chunk.type === 'tokens' ? [chunk.text] : []))
      .join('')
    expect(text).toMatch(/^A peer is one running process/)
    const gone = exited(child)
    child.disconnect()
    expect(await gone).toBe(0)
    expect(output).toEqual([])
  })

  it('ends in the middle of an answer too', async () => {
    const { child, send } = start()
    const writing = heard(
      child,
      (message) =>
        message.type === 'chunks' && message.chunks.some(([, chunk]) => chunk.type === 'tokens'),
    )
    const ready = heard(child, ({ type }) => type === 'ready')
    send({ type: 'load', options: { modelPath: chatModel, gpu: false, threads: 1 } })
    await ready
    const work = ask('Hello!', { logitBias: [[2, -100]], choices: 100 })
    send({ type: 'run', run: 1, job: { id: 'job_1', model: 'x', work, cacheScope: 'a' } })
    await writing
    const gone = exited(child)
    child.disconnect()
    expect(await gone).toBe(0)
  })
})
