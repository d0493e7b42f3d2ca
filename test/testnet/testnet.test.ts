import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, type Event, program, type Ready, runProgram } from '../e2e/peer-process.ts'
import { isRunning, untilGone } from './pids.ts'

// The real program, with real peers, engines and network: `pinaivu-peer testnet`.

interface TestnetReady extends Ready {
  dir: string
  peers: (Ready & { name: string; pid: number; region?: string })[]
}

interface Running {
  process: ChildProcess
  ready: TestnetReady
  event(wanted: (event: Event) => boolean): Promise<Event>
}

async function start(peers: number): Promise<Running> {
  const { PATH = '', TMPDIR } = process.env
  const child = spawn(process.execPath, [program, 'testnet', '--json', '--peers', String(peers)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH, HOME: '/nowhere', ...(TMPDIR === undefined ? {} : { TMPDIR }) },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const event: Running['event'] = async (wanted) => {
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error('the testnet ended')
      const found = JSON.parse(value) as Event
      if (wanted(found)) return found
    }
  }
  const ready = (await event(() => true)) as unknown as TestnetReady
  onTestFinished(() => rmSync(ready.dir, { recursive: true, force: true }))
  return { process: child, ready, event }
}

/** A peer's process, and those of its engines. */
function processesOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return [pid, ...children.split(' ').filter(Boolean).map(Number)]
}

const question = {
  model: 'pinaivu-demo',
  temperature: 0,
  messages: [{ role: 'user', content: 'What is a peer?' }],
}

// Some nine processes that load models: on a busy machine that takes its time.
describe('a testnet of real peers', { timeout: 120_000 }, () => {
  it('answers through its first peer, outlives a provider, and dies with its parent', async () => {
    const { process: parent, ready, event } = await start(3)
    const [first, ...others] = ready.peers
    expect(ready).toMatchObject({
      ...{ event: 'testnet-ready', http: first?.http, apiKey: first?.apiKey, models: [] },
      peerId: first?.peerId,
    })
    expect(others.map(({ region, models }) => [region, models])).toEqual([
      ['DE', ['pinaivu-demo', 'pinaivu-demo-embed']],
      ['FR', ['pinaivu-demo', 'pinaivu-demo-embed']],
    ])
    expect(others[1]?.roles).toContain('archive')

    const askOnce = async () => {
      const answer = await ask(ready, '/v1/chat/completions', question)
      const text = await answer.text()
      expect([answer.status, text]).toEqual([200, expect.stringContaining('one running process')])
      const node = answer.headers.get('x-pinaivu-node-id')
      const provider = others.find(({ peerId }) => peerId === node)
      expect(answer.headers.get('x-pinaivu-node-country')).toBe(provider?.region)
      return provider
    }
    const provider = await askOnce()
    const listed = await runProgram(['peers', '--json', '--data-dir', first?.dataDir ?? ''])
    const nodes = JSON.parse(listed.stdout).map(({ node }: { node: string }) => node)
    expect(new Set(nodes)).toEqual(new Set(ready.peers.map(({ peerId }) => peerId)))

    const killed = processesOf(provider?.pid ?? 0)
    const lived = ready.peers.flatMap(({ pid }) => (pid === killed[0] ? [] : processesOf(pid)))
    process.kill(killed[0] ?? 0, 'SIGKILL')
    const down = { event: 'down', reason: 'signal SIGKILL', from: provider?.name }
    expect(await event((found) => found.event === 'down')).toEqual(down)
    expect((await askOnce())?.name).not.toBe(provider?.name)

    parent.kill('SIGKILL')
    await untilGone([...killed, ...lived])
  })

  it('leaves no process and no folder behind when it is stopped', async () => {
    const { process: parent, ready } = await start(2)
    const pids = ready.peers.flatMap(({ pid }) => processesOf(pid))
    parent.kill('SIGINT')
    expect(await once(parent, 'exit')).toEqual([0, null])
    expect(pids.filter(isRunning)).toEqual([])
    expect(existsSync(ready.dir)).toBe(false)
  })
})
