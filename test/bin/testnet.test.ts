import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseCommandLine } from '../../bin/command.ts'
import { runTestnet, testnet } from '../../bin/testnet.ts'
import { type TestnetRow, testnetLines, testnetSummary } from '../../bin/testnet-rows.ts'
import type { PeerFigures, TestnetPeer } from '../../testnet/index.ts'
import { type Stage, stage } from './stage.ts'

const program = join(import.meta.dirname, '../testnet/fake-peer.ts')

function run(io: Stage, ...args: string[]): Promise<number> {
  const done = runTestnet(parseCommandLine(testnet, ['--peers', '3', ...args], io.env), io, program)
  onTestFinished(async () => {
    io.interrupt()
    await done.catch(() => {})
  })
  return done
}

describe('the command testnet', () => {
  it('prints one ready line for programs, then events', async () => {
    const io = stage()
    const done = run(io, '--json')
    await io.stdout.until('}\n')
    const [line = ''] = io.stdout.text.split('\n')
    const ready = JSON.parse(line)
    expect(ready).toMatchObject({
      ...{ event: 'testnet-ready', peerId: '12D3KooFakepeer-1', apiKey: 'sk-pnv-peer-1' },
      ...{ models: [], network: expect.stringMatching(/^testnet-[0-9a-f]{12}$/) },
      http: ready.peers[0].http,
    })
    expect(ready.peers).toHaveLength(3)
    expect(ready.peers[1]).toMatchObject({
      ...{ event: 'ready', name: 'peer-2', region: 'DE', pid: expect.any(Number) },
      ...{ models: ['pinaivu-demo', 'pinaivu-demo-embed'], http: expect.any(String) },
    })
    process.kill(ready.peers[2].pid, 'SIGKILL')
    await io.stdout.until('"down"')
    io.interrupt()
    expect(await done).toBe(0)
    const events = io.stdout.text.trim().split('\n').slice(1)
    const down = { event: 'down', reason: 'signal SIGKILL', from: 'peer-3' }
    expect(events.map((event) => JSON.parse(event))).toContainEqual(down)
    expect(existsSync(ready.dir)).toBe(false)
  })

  it('shows a person at a terminal what they need, and a live table', async () => {
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    io.stdout.columns = 120
    const done = run(io)
    const shown = await io.stdout.until('export OPENAI_BASE_URL=')
    expect(io.stdout.text).toMatch(/^\S+\[JStarting 3 peers; with their engines.*Ctrl-C stops them/)
    expect(io.stdout.text).toMatch(/A testnet of 3 peers, ready in \d+\.\d s\n/)
    expect(io.stdout.text).toMatch(/Endpoint +http:\/\/127\.0\.0\.1:\d+\/v1\n/)
    expect(io.stdout.text).toMatch(/API key +sk-pnv-peer-1\n/)
    expect(io.stdout.text).toMatch(/curl http:\S+ -H "Authorization: Bearer sk-pnv-peer-1"/)
    expect(io.stdout.text).toContain('"model":"pinaivu-demo"')
    await io.stdout.until('peer-2  up     DE', shown)
    io.interrupt()
    expect(await done).toBe(0)
    expect(io.stdout.text).toMatch(/Stopping 3 peers/)
  })

  it('shows neither key nor colours nor movement on a pipe', async () => {
    const io = stage()
    const done = run(io)
    await io.stdout.until('3 of 3 up, 4 running, 0.0 tok/s, faults: 3\n')
    io.interrupt()
    expect(await done).toBe(0)
    expect(io.stdout.text).toMatch(/API key +in \S+\/peer-1\/owner\.key\n/)
    expect(io.stdout.text).not.toContain('sk-pnv-')
    expect(io.stdout.text).not.toContain('\u001b')
    expect(io.stdout.text).toMatch(/^peer-3 +up +FR +pinaivu-demo, pinaivu-demo-embed +2 /m)
  })

  it('shows why it does not come up', async () => {
    const io = stage({ env: { FAKE_peer_2: 'dies' } })
    await expect(run(io)).rejects.toThrow('peer-2 ended while it started (code 3).')
    expect(io.stderr.text).toBe('it was too late\nport 1 is taken\n')
  })

  it('is done when it is interrupted while it starts', async () => {
    const io = stage({ env: { FAKE_peer_2: 'is never found' } })
    const done = run(io, '--json')
    io.interrupt()
    expect(await done).toBe(0)
    expect(io.stdout.text).toBe('')
  })
})

const figures: PeerFigures = {
  ...{ serves: ['pinaivu-demo'], running: 2, queued: 1 },
  ...{ tokensPerSecond: 87.44, requests: 12, faults: 1 },
}

function row(given: Partial<TestnetPeer>, said: TestnetRow[1]): TestnetRow {
  const peer = { name: 'peer-2', region: 'DE', roles: ['provider'], pid: 1, ready: undefined }
  return [{ ...peer, state: 'up', figures: async () => undefined, ...given }, said]
}

describe('the table of a testnet', () => {
  it('shows who does what, and who is silent or down', () => {
    const rows = [
      row({}, figures),
      row({ name: 'peer-3', region: undefined }, 'nothing'),
      row({ name: 'peer-4', state: 'down' }, undefined),
    ]
    expect(testnetLines(rows, 200)).toEqual([
      {
        text: 'NAME    STATE   REGION  SERVES        RUNNING  TOK/S  REQUESTS  FAULTS  PEER ID  ROLES',
        colour: 'bold',
      },
      {
        text: 'peer-2  up      DE      pinaivu-demo     2 +1   87.4        12       1  -        provider',
      },
      {
        text: 'peer-3  silent  -       -                   -      -         -       -  -        provider',
        colour: 'yellow',
      },
      {
        text: 'peer-4  down    DE      -                   -      -         -       -  -        provider',
        colour: 'red',
      },
    ])
    expect(testnetSummary(rows)).toBe('1 of 3 up, 2 running, 87.4 tok/s, faults: 1')
  })
})
