import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseCommandLine } from '../../bin/command.ts'
import { runStart, start } from '../../bin/start.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { ModelState, ModelStatus } from '../../src/engines/engine.ts'
import type { Config, createPeer, Peer, PeerEvent, PeerReady } from '../../src/index.ts'
import { currentSchema } from '../../src/storage/schema.ts'
import { openStore } from '../../src/storage/store.ts'
import { localhost, one } from './certificates.ts'
import { type Stage, stage, temporaryFolder } from './stage.ts'

const key = 'sk-pnv-0123456789'

function status(name: string, state: ModelState, more: Partial<ModelStatus> = {}): ModelStatus {
  return { name, state, created: 0, demo: true, running: 0, queued: 0, ...more }
}

const facts = {
  kind: 'chat' as const,
  architecture: 'llama',
  parameters: 12_300_000,
  quant: 'Q8_0',
  sizeBytes: 1,
  contextLength: 2048,
  vocabularySize: 1,
  embeddingLength: 1,
}

/** A peer that is told what to be. */
function scripted(overrides: Partial<PeerReady> = {}) {
  const said: string[] = []
  let listener: (status: ModelStatus) => void = () => {}
  let onPeer: (event: PeerEvent) => void = () => {}
  let config: Config | undefined
  const peer: Peer = {
    async start() {
      said.push('start')
      listener(status('pinaivu-demo', 'loading'))
      onPeer({ id: '12D3KooEarly', state: 'found' })
    },
    async stop() {
      said.push('stop')
    },
    models: () => [status('pinaivu-demo', 'loading')],
    async *generate() {},
    reconfigure(wanted) {
      config = wanted
      return { changed: ['price', 'log-level'], needsRestart: ['http'] }
    },
    onModel(given) {
      listener = given
      return () => said.push('unsubscribed')
    },
    onPeer(given) {
      onPeer = given
      return () => said.push('unsubscribed')
    },
    ready: () => ({
      version: '0.1.0',
      peerId: '12D3KooTest',
      addrs: ['/ip4/127.0.0.1/tcp/7463/p2p/12D3KooTest'],
      http: 'http://127.0.0.1:7462',
      apiKey: key,
      models: ['pinaivu-demo', 'pinaivu-demo-embed'],
      roles: ['provider'],
      dataDir: "/data/eve's",
      ms: 12,
      ...overrides,
    }),
  }
  const create: typeof createPeer = async (given) => {
    config = given
    return peer
  }
  return {
    create,
    peer,
    said,
    emit: (s: ModelStatus) => listener(s),
    meet: (e: PeerEvent) => onPeer(e),
    config: () => config,
  }
}

function begin(io: Stage, { create }: ReturnType<typeof scripted>, ...args: string[]) {
  return runStart(parseCommandLine(start, args, io.env), io, create)
}

describe('start', () => {
  it('prints the ready line first, then events, and stops cleanly', async () => {
    const io = stage()
    const peer = scripted()
    const done = begin(io, peer, '--json', '--slots', '3')
    await io.stdout.until('"loading"')
    peer.emit(status('pinaivu-demo', 'loading', { progress: 0.5 }))
    peer.emit(status('pinaivu-demo', 'ready', { facts }))
    const error = { code: 'model_unreadable', message: 'no' }
    peer.emit(status('pinaivu-demo-embed', 'failed', { error }))
    peer.meet({ id: '12D3KooEarly', state: 'gone' })
    io.interrupt()
    expect(await done).toBe(0)
    const lines = io.stdout.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toEqual([
      { event: 'ready', ...peer.peer.ready() },
      { event: 'model', name: 'pinaivu-demo', state: 'loading', demo: true },
      { event: 'peer', id: '12D3KooEarly', state: 'found' },
      { event: 'model', name: 'pinaivu-demo', state: 'ready', demo: true, kind: 'chat' },
      { event: 'model', name: 'pinaivu-demo-embed', state: 'failed', demo: true, error },
      { event: 'peer', id: '12D3KooEarly', state: 'gone' },
    ])
    expect(peer.said).toEqual(['start', 'unsubscribed', 'unsubscribed', 'stop'])
    expect(peer.config()?.slots).toBe(3)
  })

  it('shows a person what they need, and follows the models', async () => {
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const peer = scripted()
    const done = begin(io, peer)
    await io.stdout.until('Ctrl-C stops')
    for (const text of [
      'pinaivu-peer 0.1.0\n',
      'Peer id      12D3KooTest\n',
      'Listening    /ip4/127.0.0.1/tcp/7463/p2p/12D3KooTest\n',
      'main; this peer is alone (join others with --bootstrap or --mdns)\n',
      'Endpoint     http://127.0.0.1:7462/v1\n',
      `API key      ${key}\n`,
      'Status page  http://127.0.0.1:7462/\n',
      'Models       pinaivu-demo        demo model, loading\n',
    ]) {
      expect(io.stdout.text).toContain(text)
    }
    peer.emit(status('pinaivu-demo', 'ready', { facts }))
    peer.emit(status('pinaivu-demo', 'restarting'))
    const error = { code: 'x', message: 'Not a GGUF file\u001b[2J' }
    peer.emit(status('own', 'failed', { error, demo: false }))
    expect(io.stdout.text).toMatch(
      /ready {3}pinaivu-demo in \d+\.\d s \(demo model, chat, 12\.3M parameters, Q8_0\)\n/,
    )
    expect(io.stdout.text).toMatch(/pinaivu-demo: its engine ended and is restarted/)
    expect(io.stdout.text).toMatch(/failed {2}own: Not a GGUF file␛\[2J\n/)
    io.interrupt()
    expect(await done).toBe(0)
  })

  it('keeps the key off a pipe, and says how it joins', async () => {
    const io = stage()
    const address =
      '/dns/a.example/tcp/7463/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X'
    const peer = scripted()
    const more = ['--network', 'lab', '--region', 'de', '--price', '40/120']
    const done = begin(io, peer, '--mdns', '--bootstrap', address, ...more)
    await io.stdout.until('joined')
    peer.meet({ id: '12D3KooLater', state: 'found' })
    expect(io.stdout.text.match(/joined {2}the network/g)).toHaveLength(1)
    expect(io.stdout.text).toContain('Region       DE, as you declare it\n')
    expect(io.stdout.text).toContain('Price        40/120 micro-credits per 1,000 tokens')
    expect(io.stdout.text).not.toContain(key)
    expect(io.stdout.text).toContain("API key      in /data/eve's/owner.key\n")
    expect(io.stdout.text).toContain('lab; joining through 1 known peer and the local network')
    io.interrupt()
    await done
  })

  it('leaves a data folder of a newer program as it is, and says which program to run', async () => {
    const dataDir = temporaryFolder()
    const newer = { to: 2, program: '9.8.7', migrate: async () => {} }
    const schema = { ...currentSchema, migrations: [newer] }
    await (await openStore(dataDir, { logger: silentLogger }, { schema })).close()
    const io = stage()
    expect(await io.run('start', '--no-demo', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/has format 2, and this program reads formats up to 1/)
    expect(io.stderr.text).toMatch(/Run pinaivu-peer 9\.8\.7 or newer, or start with another/)
    expect(readdirSync(dataDir)).toEqual(['store'])
  })

  it('does without endpoint and without models', async () => {
    const io = stage()
    const done = begin(
      io,
      scripted({ http: null, models: [], addrs: [] }),
      '--no-http',
      '--no-demo',
    )
    await io.stdout.until('Ctrl-C stops')
    expect(io.stdout.text).toContain('Endpoint     none (--no-http)')
    expect(io.stdout.text).toContain('Models       none')
    expect(io.stdout.text).not.toContain('curl')
    io.interrupt()
    expect(await done).toBe(0)
  })

  it('stops what had started when the start fails, and is done when interrupted', async () => {
    const failing = scripted()
    failing.peer.start = async () => {
      throw new Error('port 7462 is taken')
    }
    await expect(begin(stage(), failing)).rejects.toThrow('port 7462 is taken')
    expect(failing.said).toEqual(['unsubscribed', 'unsubscribed', 'stop'])
    const slow = scripted()
    const starting = new Promise<void>((resolve) => {
      slow.peer.start = async ({ signal }) => {
        resolve()
        await once(signal, 'abort')
        throw signal.reason
      }
    })
    const io = stage()
    const done = begin(io, slow)
    await starting
    io.interrupt()
    expect(await done).toBe(0)
    expect(slow.said).toEqual(['unsubscribed', 'unsubscribed', 'stop'])
  })

  it('reads its configuration again when told to, and goes on when there is a mistake in it', async () => {
    const dataDir = temporaryFolder()
    const path = join(dataDir, 'config.toml')
    const io = stage()
    const peer = scripted()
    const done = begin(io, peer, '--json', '--data-dir', dataDir, '--log-level', 'warn')
    await io.stdout.until('"loading"')
    // Every option is in the file that was written, and none is chosen.
    writeFileSync(path, `price = "7/8"\n${readFileSync(path, 'utf8')}`)
    io.hangUp()
    await io.stdout.until('"reloaded"')
    const event = { event: 'reloaded', changed: ['price', 'log-level'], needs_restart: ['http'] }
    expect(io.stdout.text).toContain(`${JSON.stringify(event)}\n`)
    expect(peer.config()?.price).toEqual({ input: 7, output: 8 })
    expect(io.stderr.text).toMatch(/"level":"warn".*"setting":"http","msg":"needs a restart/)
    expect(io.stderr.text).not.toContain('"level":"info"')
    writeFileSync(path, 'prise = "9/9"\n')
    io.hangUp()
    await io.stderr.until('everything stays')
    expect(io.stderr.text).toMatch(
      /"level":"error".*Did you mean price\?.*everything stays as it was/,
    )
    expect(peer.config()?.price).toEqual({ input: 7, output: 8 })
    io.interrupt()
    expect(await done).toBe(0)
  })

  it('reads it again before it is up, too', async () => {
    const io = stage()
    const peer = scripted()
    const dataDir = temporaryFolder()
    const create: typeof createPeer = async (...given) => {
      writeFileSync(join(dataDir, 'config.toml'), 'price = "7/8"\n')
      io.hangUp()
      return peer.create(...given)
    }
    const done = begin(io, { ...peer, create }, '--json', '--data-dir', dataDir)
    await io.stdout.until('"reloaded"')
    expect(peer.config()?.price).toEqual({ input: 7, output: 8 })
    io.interrupt()
    await done
  })

  it('says on stderr what is odd in the environment', async () => {
    const io = stage({ env: { PINAIVU_MODLE: 'x' } })
    const done = begin(io, scripted())
    await io.stdout.until('Ctrl-C stops')
    expect(io.stderr.text).toMatch(/"level":"warn".*PINAIVU_MODLE.*Did you mean PINAIVU_MODEL\?/)
    io.interrupt()
    await done
  })
})

describe('the curl line', () => {
  it('gives curl what it needs, with the key in a file of an awkward name', async () => {
    const dataDir = join(temporaryFolder(), "eve's $(data)")
    mkdirSync(dataDir)
    writeFileSync(join(dataDir, 'owner.key'), `${key}\n`)
    const io = stage()
    const done = begin(io, scripted({ dataDir, models: ["it's"] }))
    await io.stdout.until('Ctrl-C stops')
    io.interrupt()
    await done
    const line = io.stdout.text.split('\n').find((each) => each.startsWith('  curl '))
    // A shell reads the line as it is printed, and in curl's place tells what that would be given.
    const curl = `curl() { "$0" -p 'JSON.stringify(process.argv.slice(1))' -- "$@"; }`
    const { stdout } = spawnSync('sh', ['-c', `${curl}\n${line}`, process.execPath])
    expect(JSON.parse(stdout.toString())).toEqual([
      'http://127.0.0.1:7462/v1/chat/completions',
      '-H',
      `Authorization: Bearer ${key}`,
      '-H',
      'Content-Type: application/json',
      '-d',
      '{"model":"it\'s","messages":[{"role":"user","content":"Hello! Who are you?"}]}',
    ])
  })

  it.each([
    ['--insecure', one, 'for a certificate of another name'],
    ["--cacert '", localhost, 'for a self-signed one of this name'],
  ])('has %s %s', async (option, { cert }) => {
    const certFile = join(temporaryFolder(), 'cert.pem')
    writeFileSync(certFile, cert)
    const io = stage()
    const peer = scripted({ http: 'https://127.0.0.1:7462' })
    const done = begin(io, peer, '--tls-cert', certFile, '--tls-key', certFile)
    await io.stdout.until('Ctrl-C stops')
    expect(io.stdout.text).toContain(`  curl ${option}`)
    io.interrupt()
    await done
  })
})

describe('the process', () => {
  const entry = join(import.meta.dirname, '../../bin/pinaivu-peer.ts')
  it('does not mind that nobody reads its output', async () => {
    const child = spawn(process.execPath, [entry, 'start', '--help'])
    child.stdout.destroy()
    let errors = ''
    child.stderr.on('data', (piece) => {
      errors += piece
    })
    const [code] = await once(child, 'close')
    expect([code, errors]).toEqual([0, ''])
  })

  it.runIf(existsSync('/dev/full'))('tells of an output it cannot write', async () => {
    const full = openSync('/dev/full', 'w')
    onTestFinished(() => closeSync(full))
    const told = spawnSync(process.execPath, [entry, '--help'], { stdio: ['ignore', full, 'pipe'] })
    expect(told.status).toBe(1)
    expect(told.stderr.toString()).toMatch(/^Error: cannot write to stdout: ENOSPC[^\n]*\n$/)
    const log = spawnSync(process.execPath, [entry, 'start', '--modle'], {
      stdio: ['ignore', 'pipe', full],
    })
    expect(log.status).toBe(2)
  })
})
