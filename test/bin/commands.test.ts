import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { notYet, settingList } from '../../src/config/settings.ts'
import { one, two } from './certificates.ts'
import {
  fakePeer,
  json,
  loadedModel,
  peerState,
  selfPeer,
  stage,
  temporaryFolder,
  wholePeer,
} from './stage.ts'

describe('the command line', () => {
  it.each([
    [['--help'], /Usage: pinaivu-peer \[command\]/],
    [['help'], /keys create/],
    [['help', 'keys', 'create'], /--expires WHEN/],
    [['chat', '-h'], /Usage: pinaivu-peer chat \[MODEL\]/],
    [['--version'], /^\d+\.\d+\.\d+\n$/],
    [['status', '-v'], /^\d+\.\d+\.\d+\n$/],
    [['--help', '--nonsense'], /Usage/],
    [['-h', '--data-dir', '/x'], /Usage: pinaivu-peer \[command\]/],
    [['help', 'keys', '--data-dir', '/x'], /keys list[\s\S]*keys create[\s\S]*Examples:/],
    [['keys'], /keys list[\s\S]*keys create/],
    [['keys', '--help'], /keys list[\s\S]*keys create/],
  ])('%j prints to stdout and is fine', async (args, text) => {
    const io = stage()
    expect(await io.run(...args)).toBe(0)
    expect(io.stdout.text).toMatch(text)
    expect(io.stderr.text).toBe('')
  })

  it('shows every setting with its default in the help of start, within the width', async () => {
    const io = stage()
    await io.run('start', '--help')
    const words = io.stdout.text.replace(/\s+/g, ' ')
    for (const { flag, help, default: given } of settingList) {
      expect(words).toContain(`--${flag}`)
      expect(words).toContain(help)
      if (given.length > 0) expect(words).toContain(`[default: ${given.join(',')}]`)
    }
    const prose = io.stdout.text.split('Examples:')[0] ?? ''
    expect(Math.max(...prose.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  it.each([
    [['strat'], /There is no command "strat"\. Did you mean start\?/],
    [['reputation'], /There is no command "reputation"/],
    [['peer'], /There is no command "peer"\. Did you mean peers\?/],
    [['testnet', '--peers', '1'], /--peers: expected a whole number from 2 to 32, got "1"/],
    [['testnet', '--peers', '33'], /--peers: expected a whole number from 2 to 32, got "33"/],
    [['testnet', '--keeep'], /"testnet" has no option --keeep\. Did you mean --keep\?/],
    [['keys', 'crate'], /no command "keys crate"\. Did you mean keys create\?/],
    [['models', 'rm'], /Say which: models rm NAME/],
    [['start', '--htpp', 'x'], /--htpp: there is no such setting\. Did you mean --http\?/],
    [['--http'], /--http needs a value: --http HOST:PORT/],
    [['--http', '--json'], /--http needs a value/],
    [['--json=yes'], /--json takes no value/],
    [['--slots', 'many'], /--slots: expected a whole number from 1 to 256, got "many"/],
    [['--slots=-1'], /--slots: expected a whole number/],
    [['status', '--jsn'], /"status" has no option --jsn\. Did you mean --json\?/],
    [['status', 'a'], /"status" has no use for "a"/],
    [['chat', '--temperature', 'hot'], /--temperature: expected a number from 0 to 2, got "hot"/],
    [['chat', '--max-tokens', '1.5'], /--max-tokens: expected a whole number/],
    [['keys', 'create', '--scope', 'infrence'], /no scope "infrence"\. Did you mean inference\?/],
    [['keys', 'create', '--expires', 'soon'], /--expires: expected 90d, 12h, 30min or a date/],
    [['help', 'nothing'], /There is no command "nothing"/],
    ...notYet.map((name): [string[], RegExp] => [
      ['start', `--${name}`, 'x'],
      new RegExp(`this version does not have --${name} yet`),
    ]),
  ])('%j is wrong use', async (args, text) => {
    const io = stage()
    expect(await io.run(...args)).toBe(2)
    expect(io.stderr.text).toMatch(text)
    expect(io.stderr.text).toMatch(/See "pinaivu-peer.* --help"\.\n$/)
    expect(io.stdout.text).toBe('')
  })

  it('neutralises what it repeats', async () => {
    const io = stage()
    expect(await io.run('\u001b[2J')).toBe(2)
    expect(io.stderr.text).toContain('␛[2J')
  })
})

describe('the entry', () => {
  const entry = join(import.meta.dirname, '../../bin/pinaivu-peer.ts')
  it('says on an old Node what is needed and how to get it', () => {
    const old = `Object.defineProperty(process, 'versions', { value: { node: '20.11.1' } })`
    const args = ['--import', `data:text/javascript,${encodeURIComponent(old)}`, entry, '--version']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/needs Node\.js 22\.13 or newer; this is 20\.11\.1/)
    expect(stderr).toMatch(/npm install/)
  })

  it('runs on this one', () => {
    const { status, stdout } = spawnSync(process.execPath, [entry, '--version'], {
      encoding: 'utf8',
    })
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)])
  })
})

describe('finding the peer', () => {
  it('gives no key away before a peer has answered', async () => {
    const { dataDir, asked } = await fakePeer({ 'GET /healthz': json({ hello: 'world' }) })
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/is no peer/)
    expect(asked.map(({ authorization }) => authorization)).toEqual([undefined])
  })

  it('tells in one sentence of a folder that is none, and of a key file that is empty', async () => {
    const { dataDir } = await fakePeer({})
    writeFileSync(join(dataDir, 'owner.key'), '\n')
    const file = join(dataDir, 'owner.key')
    for (const [folder, reason] of [
      [file, /Cannot look into .*ENOTDIR/],
      [dataDir, /owner\.key is empty/],
    ] as const) {
      const io = stage()
      expect(await io.run('status', '--data-dir', folder)).toBe(1)
      expect(io.stderr.text).toMatch(reason)
      expect(io.stderr.text.trim().split('\n')).toHaveLength(1)
    }
  })

  it('fails plainly when none runs, was killed, or left a damaged file', async () => {
    const dataDir = temporaryFolder()
    const none = `Error: No peer is running on ${dataDir}. Start one with "pinaivu-peer start".\n`
    const attempt = async () => {
      const io = stage()
      expect(await io.run('status', '--data-dir', dataDir)).toBe(1)
      return io.stderr.text
    }
    expect(await attempt()).toBe(none)
    writeFileSync(join(dataDir, 'peer.json'), '{"pid":')
    expect(await attempt()).toBe(none)
    // The highest process number there can be belongs to nobody.
    const info = {
      version: '0',
      peerId: 'p',
      pid: 4_194_305,
      http: 'http://127.0.0.1:1',
      certFile: null,
    }
    writeFileSync(join(dataDir, 'peer.json'), JSON.stringify(info))
    expect(await attempt()).toBe(none)
    // This process lives, but is no peer: nothing answers at that address.
    writeFileSync(join(dataDir, 'owner.key'), 'sk')
    writeFileSync(join(dataDir, 'peer.json'), JSON.stringify({ ...info, pid: process.pid }))
    expect(await attempt()).toMatch(/No peer is running.*127\.0\.0\.1:1 does not answer/)
  })

  it('says so when the peer has no HTTP endpoint, or its key cannot be read', async () => {
    const { dataDir } = await fakePeer({})
    rmSync(join(dataDir, 'owner.key'))
    const io = stage()
    expect(await io.run('models', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/Cannot read .*owner\.key/)
    const info = { version: '0', peerId: 'p', pid: process.pid, http: null, certFile: null }
    writeFileSync(join(dataDir, 'peer.json'), JSON.stringify(info))
    expect(await io.run('models', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/runs with --no-http/)
  })

  it('finds the data folder through the environment', async () => {
    const { dataDir } = await fakePeer(wholePeer)
    const io = stage({ env: { PINAIVU_DATA_DIR: dataDir } })
    expect(await io.run('models')).toBe(0)
  })

  it('trusts the certificate that the peer recorded, and no other', async () => {
    const good = await fakePeer(wholePeer, one)
    const io = stage()
    expect(await io.run('models', '--data-dir', good.dataDir)).toBe(0)
    const bad = await fakePeer(wholePeer, { ...one, trusted: two.cert })
    expect(await io.run('models', '--data-dir', bad.dataDir)).toBe(1)
    expect(bad.asked).toEqual([])
  })

  it('passes on what the peer refuses', async () => {
    const error = { error: { message: 'This key may not do that.\u001b[0m' } }
    const { dataDir } = await fakePeer({
      'GET /api/v1/auth/api-keys?order=asc&limit=100': json(error, 403),
    })
    const io = stage()
    expect(await io.run('keys', 'list', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toBe('Error: This key may not do that.␛[0m\n')
  })
})

describe('status and models', () => {
  it('show the peer and its place in the network to a person', async () => {
    const { dataDir, url } = await fakePeer(wholePeer)
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(
      [
        'pinaivu-peer 0.1.0  ready, up for 1 h 2 min',
        '',
        '  Peer id      12D3KooTest',
        '  Listening    /ip4/127.0.0.1/tcp/7463/p2p/12D3KooTest',
        '               /ip4/10.0.0.2/tcp/7463/p2p/12D3KooTest',
        '  Region       DE, as declared',
        '  Roles        provider, coordinator',
        '  Hardware     A processor, 2 threads, 8 GiB',
        '  Load         1/4',
        '  Price        40/120 micro-credits per 1,000 tokens read/written',
        '  Network      main; 2 known, 1 connected',
        `  Endpoint     ${url}/v1`,
        `  Data         ${dataDir}`,
        `  Process      ${process.pid}, 100 MiB without the engine`,
        '',
        'NAME                 STATE    KIND  PARAMS  QUANT   CONTEXT  TOK/S    LOAD   PRICE  NODES',
        'pinaivu-demo (demo)  ready    chat   12.3M  Q8_0       2048  812.3  5/8 +2  40/120      2',
        'phi-4                network  chat   14.7B  Q4_K_M    16384      -       -  40/120      1',
        '',
      ].join('\n'),
    )
  })

  it('show models that are not ready, and why', async () => {
    const waiting = {
      ...loadedModel,
      ...{ state: 'loading', progress: 0.427, kind: null, parameters: null, quant: null },
      ...{ context_length: null, slots: null, tokens_per_second: null },
    }
    const failed = {
      ...waiting,
      ...{ name: 'bad\u001b[2J', state: 'failed', demo: false },
      error: { code: 'model_unreadable', message: 'Not a GGUF file.' },
    }
    const state = { ...peerState, ready: false, models: [waiting, failed] }
    const data = state.models.map(({ name }) => ({ id: name, network: false, nodes: 0 }))
    const { dataDir } = await fakePeer({
      ...wholePeer,
      'GET /readyz': json(state, 503),
      'GET /v1/models': json({ data }),
      'GET /v8/network/peers': json({ data: [{ ...selfPeer, models: [] }], total: 1 }),
    })
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toMatch(/not ready: no model can answer yet/)
    expect(io.stdout.text).toMatch(/pinaivu-demo \(demo\) {2}loading 42% {2}-/)
    expect(io.stdout.text).toMatch(/failed bad␛\[2J: Not a GGUF file\.\n$/)
    expect(io.stdout.text).not.toMatch(/Load|Price/)
  })

  it('say when the disk takes nothing more', async () => {
    const state = { ...peerState, ready: false, storage: 'failed' }
    const { dataDir } = await fakePeer({ ...wholePeer, 'GET /readyz': json(state, 503) })
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toMatch(/not ready: the disk takes nothing more; make room/)
  })

  it('say what to do when there is no model anywhere, and no peer', async () => {
    const network = { ...peerState.network, connections: 0, directory: { peers: 0 } }
    const { dataDir } = await fakePeer({
      'GET /readyz': json({ ...peerState, network, models: [] }),
      'GET /v1/models': json({ data: [] }),
      'GET /v8/network/peers': json({
        data: [{ ...selfPeer, models: [], region: null }],
        total: 1,
      }),
    })
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toMatch(/Region +not declared\n/)
    expect(io.stdout.text).toMatch(
      /Network +main; no other peer is known \(see "pinaivu-peer peers"\)\n/,
    )
    expect(io.stdout.text).toMatch(/Start\s+it\s+with\s+--model\s+FILE,\s+or\s+join/)
  })

  it('print JSON for programs', async () => {
    const { dataDir, url } = await fakePeer(wholePeer)
    const io = stage()
    await io.run('status', '--json', '--data-dir', dataDir)
    const { region, roles, hardware } = selfPeer
    expect(JSON.parse(io.stdout.text)).toEqual({
      ...{ ...peerState, region, roles, hardware },
      ...{ http: url, pid: process.pid, data_dir: dataDir },
    })
    io.stdout.text = ''
    await io.run('models', '--json', '--data-dir', dataDir)
    const price = { input: 40, output: 120 }
    expect(JSON.parse(io.stdout.text)).toEqual([
      {
        ...{ name: 'pinaivu-demo', id: 'cid:bafkdemo', network: false, nodes: 2, price },
        ...{ state: 'ready', demo: true, kind: 'chat', parameters: 12_345_678, quant: 'Q8_0' },
        ...{ context_length: 2048, slots: 8, running: 5, queued: 2, tokens_per_second: 812.34 },
        ...{ progress: null, error: null },
      },
      {
        ...{ name: 'phi-4', id: 'cid:bafkphi', network: true, nodes: 1, price },
        ...{ state: 'network', demo: false, kind: 'chat', parameters: 14.7e9, quant: 'Q4_K_M' },
        ...{ context_length: 16_384, slots: null, running: 0, queued: 0 },
        ...{ tokens_per_second: null, progress: null, error: null },
      },
    ])
  })

  it('refuse what is no peer', async () => {
    const { dataDir } = await fakePeer({ ...wholePeer, 'GET /readyz': json({ ok: true }) })
    const io = stage()
    expect(await io.run('status', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/is no peer of a version this one knows/)
  })
})
