import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startTestnet, type TestnetEvent, type TestnetOptions } from '../../testnet/index.ts'
import { argsOf, peerBytes, planPeers, requireMemory } from '../../testnet/plan.ts'
import { isRunning, untilGone } from './pids.ts'

// The processes of a testnet, with a small program in place of the peer's.

const programPath = join(import.meta.dirname, 'fake-peer.ts')
const { signal } = new AbortController()

/** A testnet whose peers behave as told: name → behaviour. */
async function start(
  behaviours: Record<string, string> = {},
  options: Partial<TestnetOptions & { signal: AbortSignal }> = {},
) {
  const told = Object.entries(behaviours).map(([name, what]) => [
    `FAKE_${name.replace('-', '_')}`,
    what,
  ])
  const env = { ...process.env, PINAIVU_MODEL: '/a/model', ...Object.fromEntries(told) }
  const testnet = await startTestnet({ peers: 3, programPath, env, signal, ...options })
  onTestFinished(() => testnet.stop())
  return testnet
}

function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-test-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

describe('the plan of a testnet', () => {
  it('has one peer to talk to, others that serve in several regions, and one archive', () => {
    const [first, ...others] = planPeers(6)
    expect(first).toMatchObject({ serves: false, roles: ['coordinator', 'auditor'] })
    expect(others.map(({ region }) => region)).toEqual(['DE', 'FR', 'US', 'CA', 'JP'])
    expect(others.every(({ serves }) => serves)).toBe(true)
    const archives = others.filter(({ roles }) => roles.includes('archive'))
    expect(archives.map(({ name }) => name)).toEqual(['peer-6'])
    expect(planPeers(2)).toHaveLength(2)
    expect(planPeers(32).every(({ region, serves }) => !serves || region !== undefined)).toBe(true)
  })

  it('is refused where there is no memory for it', () => {
    requireMemory(5, 5 * peerBytes)
    expect(() => requireMemory(6, 5 * peerBytes)).toThrow(
      "6 peers need about 1800 MB, and 1500 MB of this machine's memory are free. Try --peers 5.",
    )
    expect(() => requireMemory(2, peerBytes)).toThrow(/End other programs first\.$/)
  })
})

describe('a testnet', () => {
  it('starts peers that join through the first two, and stops them', async () => {
    const said = Promise.withResolvers<TestnetEvent>()
    const onEvent = (event: TestnetEvent) => event.from === 'peer-4' && said.resolve(event)
    const testnet = await start({}, { peers: 4, onEvent })
    const { first, peers, network, dir = '' } = testnet
    expect(first.apiKey).toBe('sk-pnv-peer-1')
    expect(peers.map(({ state }) => state)).toEqual(['up', 'up', 'up', 'up'])
    const [one, two, three] = peers.map(
      ({ ready }) => ready as unknown as { args: string[]; addrs: string[]; settings: string[] },
    )
    const place = { network, dataDir: join(dir, 'peer-3') }
    const bootstrap = [one, two].flatMap((ready) => ready?.addrs ?? [])
    const plan = planPeers(4)[2]
    expect(plan && argsOf(plan, { ...place, bootstrap })).toEqual(three?.args)
    expect(three?.settings).toEqual([])
    expect(await said.promise).toMatchObject({ event: 'model', name: 'pinaivu-demo' })
    const pids = peers.map(({ pid }) => pid ?? 0)
    await testnet.stop()
    expect(pids.filter(isRunning)).toEqual([])
    expect(existsSync(dir)).toBe(false)
  })

  it('tells what its peers do', async () => {
    const { peers } = await start()
    const figures = await Promise.all(peers.map((peer) => peer.figures({ signal })))
    expect(figures[0]).toMatchObject({ serves: [], running: 0, requests: 8, faults: 1 })
    expect(figures[1]).toMatchObject({ serves: ['pinaivu-demo', 'pinaivu-demo-embed'], running: 2 })
  })

  it('keeps the folder it was given, or is told to keep', async () => {
    const dir = temporaryFolder()
    const given = await start({}, { dir, peers: 2 })
    await given.stop()
    expect(readdirSync(dir).sort()).toEqual(['peer-1', 'peer-1.log', 'peer-2', 'peer-2.log'])
    const kept = await start({}, { keep: true, peers: 2 })
    await kept.stop()
    expect(existsSync(kept.dir ?? '')).toBe(true)
    rmSync(kept.dir ?? '', { recursive: true })
  })

  it('says of a peer that dies later that it is down', async () => {
    const down = Promise.withResolvers<TestnetEvent>()
    const onEvent = (event: TestnetEvent) => event.event === 'down' && down.resolve(event)
    const { peers } = await start({}, { onEvent })
    process.kill(peers[2]?.pid ?? 0, 'SIGKILL')
    expect(await down.promise).toEqual({ event: 'down', reason: 'signal SIGKILL', from: 'peer-3' })
    expect(peers.map(({ state }) => state)).toEqual(['up', 'up', 'down'])
    expect(await peers[2]?.figures({ signal })).toBeUndefined()
  })

  it('ends a peer that does not stop', async () => {
    const testnet = await start({ 'peer-2': 'is stubborn' }, { stopMs: 100 })
    const pid = testnet.peers[1]?.pid ?? 0
    await testnet.stop()
    expect(isRunning(pid)).toBe(false)
  })
})

describe('a testnet that does not come up', () => {
  it.each([
    ['dies', 'while it started (code 3).', ['it was too late', 'port 1 is taken']],
    ['ends at once', '(code 4).', []],
    ['cannot load', 'cannot load pinaivu-demo: not a GGUF file', []],
  ])('says why when a peer %s, and leaves nothing behind', async (what, reason, log) => {
    const dir = temporaryFolder()
    const failing = start({ 'peer-3': what }, { peers: 4, dir })
    const message = expect.stringMatching(/^peer-3 /)
    await expect(failing).rejects.toMatchObject({ message, log })
    await expect(failing).rejects.toThrow(reason)
    const pids = readdirSync(dir)
      .filter((name) => existsSync(join(dir, name, 'pid')))
      .map((name) => Number(readFileSync(join(dir, name, 'pid'), 'utf8')))
    expect(pids.length).toBeGreaterThanOrEqual(3)
    expect(pids.filter(isRunning)).toEqual([])
  })

  it('says which peer was never found', async () => {
    const failing = start({ 'peer-2': 'is never found' }, { seenMs: 100 })
    await expect(failing).rejects.toThrow(/^peer-1 did not find peer-2 within/)
  })

  it('ends when it is told to in the middle of the start', async () => {
    const abort = new AbortController()
    const failing = start(
      { 'peer-2': 'is never found' },
      { signal: abort.signal, onEvent: () => abort.abort() },
    )
    await expect(failing).rejects.toThrow(/aborted/)
  })
})

describe('the death of a testnet', () => {
  it('takes its peers along', async () => {
    const parent: ChildProcess = fork(join(import.meta.dirname, 'parent.ts'), [
      programPath,
      temporaryFolder(),
    ])
    const [pids] = (await once(parent, 'message')) as [number[]]
    expect(pids.filter(isRunning)).toHaveLength(3)
    parent.kill('SIGKILL')
    await untilGone(pids)
  })
})
