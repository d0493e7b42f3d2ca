import { once } from 'node:events'
import { truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { writePeerInfo } from '../../src/peer-file.ts'
import { openStore } from '../../src/storage/store.ts'
import { skewed } from '../base/fake-clock.ts'
import { fakePeer, json, peerState, wholePeer } from '../bin/stage.ts'
import { writeTiny } from '../gguf/llama-model.ts'
import { writeMalformed } from '../gguf/malformed.ts'
import { diagnose, fakeProgram, temporaryFolder } from './stage.ts'

const HOURS_MS = 2 * 3_600_000
const noHeads = { 'GET /v8/log/heads': json({ data: [] }) }

describe('model files', () => {
  it('that are malformed, missing or too big for the memory, each with its reason', async () => {
    const folder = temporaryFolder()
    const huge = join(folder, 'huge.gguf')
    writeTiny(huge)
    // A hole: it takes no room on the disk.
    truncateSync(huge, totalmem() + 1024 ** 4)
    const model = [
      writeMalformed(folder, 'truncatedTensors'),
      writeMalformed(folder, 'wrongMagic'),
      writeMalformed(folder, 'missingFeedForward'),
      '/nowhere/phi-4.gguf',
      huge,
    ]
    const found = await diagnose('models', { flags: { model } })
    const again = 'Fetch it again.'
    const invalid = { verdict: 'fail', code: 'model_file_invalid', next: again }
    expect(found).toMatchObject([
      { ...invalid, cause: expect.stringContaining('cut off') },
      { ...invalid, cause: expect.stringContaining('not a GGUF file') },
      { ...invalid, cause: expect.stringContaining('lacks feed_forward_length') },
      { verdict: 'fail', code: 'model_file_missing', next: 'Check the path given with --model.' },
      { verdict: 'fail', code: 'model_too_large', next: expect.stringContaining('smaller quant') },
    ])
    expect(found[3]?.cause).toContain('/nowhere/phi-4.gguf')
    expect(found[4]?.cause).toMatch(/huge does not fit into memory: it has 1\.\d+ TiB/)
  })

  it('that are fine', async () => {
    expect(await diagnose('models', { flags: { demo: true } })).toMatchObject([{ verdict: 'ok' }])
    const flags = { model: ['hf:org/repo:Q8_0'], draft: ['tinyllama'] }
    expect(await diagnose('models', { flags })).toMatchObject([
      {
        verdict: 'warn',
        code: 'model_not_fetched',
        next: expect.stringMatching(/pull hf:org\/repo:Q8_0$/),
      },
      {
        verdict: 'warn',
        code: 'model_not_fetched',
        cause: expect.stringMatching(/^tinyllama is not on/),
      },
    ])
  })
})

describe('a clock', () => {
  it('that was set back behind files of the data folder', async () => {
    const dir = temporaryFolder()
    writeFileSync(join(dir, 'config.toml'), '')
    const clock = skewed(systemClock, -HOURS_MS)
    const [found] = await diagnose('clock', { flags: { 'data-dir': dir }, more: { clock } })
    expect(found).toMatchObject({ verdict: 'warn', code: 'clock_set_back' })
    expect(found?.cause).toContain('2 h behind')
    expect(found?.next).toMatch(/time servers/)
  })

  it('that other peers contradict', async () => {
    const head = (author: string, aheadMs: number) => ({
      ...{ author, epoch: '0011223344556677', size: 3 },
      at: new Date(systemClock.now() + aheadMs).toISOString(),
    })
    const data = [head('a', HOURS_MS), head('b', HOURS_MS), head('c', -HOURS_MS)]
    const routes = { ...wholePeer, 'GET /v8/log/heads': json({ data }) }
    const { dataDir } = await fakePeer(routes)
    // It looks twice, a moment apart.
    const clock = { ...systemClock, sleep: async () => {} }
    const [found] = await diagnose('clock', { flags: { 'data-dir': dataDir }, more: { clock } })
    expect(found).toMatchObject({ verdict: 'warn', code: 'clock_wrong' })
    expect(found?.cause).toMatch(/2 h behind that of others: 2 peers/)
  })

  it('that no time server keeps', async () => {
    const [found] = await diagnose('clock', {
      env: { PATH: fakeProgram('timedatectl', 'echo no') },
    })
    expect(found).toMatchObject({ verdict: 'warn', code: 'clock_not_synced' })
  })

  it('that is right', async () => {
    const [found] = await diagnose('clock', {
      env: { PATH: fakeProgram('timedatectl', 'echo yes') },
    })
    expect(found).toMatchObject({ verdict: 'ok' })
  })
})

describe('a configuration', () => {
  it('with a mistake is told with its line, and the rest is looked at all the same', async () => {
    const dir = temporaryFolder()
    writeFileSync(join(dir, 'config.toml'), 'mdns = true\nprice = "cheap"\n')
    const flags = { 'data-dir': dir }
    const [found] = await diagnose('config', { flags })
    expect(found).toMatchObject({ verdict: 'fail', code: 'config_invalid' })
    expect(found?.cause).toMatch(/config\.toml line 2, price: expected/)
    expect(await diagnose('data folder', { flags })).toMatchObject([{ verdict: 'ok' }])
    expect(await diagnose('network', { flags })).toMatchObject([{ verdict: 'skip' }])
  })

  it('with a certificate that is not there', async () => {
    const flags = { 'tls-cert': '/nowhere/cert.pem', 'tls-key': '/nowhere/key.pem' }
    const [found] = await diagnose('config', { flags })
    expect(found).toMatchObject({ verdict: 'fail', code: 'tls_unreadable' })
    expect(found?.cause).toContain('/nowhere/cert.pem')
  })

  it('with a misspelt variable is odd', async () => {
    const [found] = await diagnose('config', { env: { PINAIVU_MDMS: '1' } })
    expect(found).toMatchObject({ verdict: 'warn', code: 'config_odd' })
    expect(found?.cause).toContain('Did you mean PINAIVU_MDNS?')
  })
})

describe('a running peer', () => {
  const on = (dir: string) => ({ flags: { 'data-dir': dir } })

  it('that hangs, and what a crashed one left behind', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    await once(server, 'listening')
    const dataDir = temporaryFolder()
    const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const info = { version: '0.1.0', peerId: '12D3KooTest', pid: process.pid, http, certFile: null }
    await writePeerInfo(dataDir, info)
    const look = () => diagnose('peer', { ...on(dataDir), more: { ms: 4_000 } })
    const store = await openStore(dataDir, { logger: silentLogger })
    const [found] = await look().finally(() => store.close())
    expect(found).toMatchObject({ verdict: 'fail', code: 'peer_silent' })
    expect(found?.cause).toContain(`process ${process.pid}, ${http} (not within 2 s)`)
    expect(found?.next).toMatch(/end that process and start the peer again/)
    if (process.platform === 'linux') expect(await look()).toMatchObject([{ verdict: 'skip' }])
  })

  it('that is fine is asked for what it knows', async () => {
    const { dataDir, asked } = await fakePeer({ ...wholePeer, ...noHeads })
    for (const check of ['database', 'ports', 'network', 'nat', 'gpu', 'models']) {
      expect(await diagnose(check, on(dataDir))).toMatchObject([{ check }])
    }
    // It may be another program that listens there now.
    expect(asked.every(({ authorization }) => authorization === undefined)).toBe(true)
  })

  it('whose disk failed, which has joined nobody, and whose model failed', async () => {
    const error = { code: 'model_too_large', message: 'a.gguf does not fit. Serve a smaller one.' }
    const state = {
      ...peerState,
      storage: 'failed',
      network: { ...peerState.network, connections: 0 },
      models: [{ ...peerState.models[0], name: 'a', state: 'failed', error }],
    }
    const { dataDir } = await fakePeer({
      ...wholePeer,
      ...noHeads,
      'GET /readyz': json(state, 503),
    })
    expect(await diagnose('database', on(dataDir))).toMatchObject([
      { verdict: 'fail', code: 'storage_failed' },
    ])
    expect(await diagnose('network', on(dataDir))).toMatchObject([
      { verdict: 'fail', code: 'not_joined', next: expect.stringContaining('--bootstrap') },
    ])
    expect(await diagnose('models', on(dataDir))).toMatchObject([
      { verdict: 'fail', code: 'model_too_large', next: 'Serve a smaller one.' },
    ])
  })

  it('whose models all make room until they are asked for', async () => {
    const models = [{ ...peerState.models[0], name: 'a', state: 'waiting', unloaded: true }]
    const answers = { ...wholePeer, ...noHeads, 'GET /readyz': json({ ...peerState, models }) }
    const { dataDir } = await fakePeer(answers)
    expect(await diagnose('models', on(dataDir))).toMatchObject([
      { verdict: 'ok', cause: '1 model of 1 ready.' },
    ])
  })

  it.each([
    ['public', [], 'ok', /straight/],
    ['private', ['12D3KooRelay'], 'ok', /through 1 relay/],
    ['private', [], 'warn', /found no relay/],
  ] as const)('that finds itself %s, with relays %j', async (verdict, relays, how, why) => {
    const network = { ...peerState.network, nat: { verdict, relays } }
    const state = { ...peerState, network }
    const { dataDir } = await fakePeer({ ...wholePeer, ...noHeads, 'GET /readyz': json(state) })
    const [found] = await diagnose('nat', on(dataDir))
    expect(found?.verdict).toBe(how)
    expect(found?.cause).toMatch(why)
  })
})
