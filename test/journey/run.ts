import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { llamaServerProgram, startLlamaServer } from '../../bench/llama-server.ts'
import { packageRoot } from '../../src/base/package-root.ts'
import { FakeHub } from '../engines/store/fake-hub.ts'
import { fakeLlamaServer } from '../engines/upstream/fake-llama-server.ts'
import { Recording } from './recording.ts'
import { journey, type Scene } from './steps.ts'
import { svgOf } from './svg.ts'
import { Terminal } from './terminal.ts'

// The way of a new user, from `npm pack` in an empty folder to a peer that was lost and restored, with the
// commands as they are typed. What they print becomes .github/journey.txt and .svg.
//
//   npm run journey                    tries it and writes the recording
//   … test/journey/run.ts FOLDER       installs into this folder, which stays; writes nothing; for CI

const root = packageRoot()
const [given] = parseArgs({ allowPositionals: true }).positionals
const folder = given ?? mkdtempSync(join(tmpdir(), 'pinaivu-journey-'))
const home = mkdtempSync(join(tmpdir(), 'pinaivu-home-'))
const recording = new Recording()

/** The port that the program takes by itself, where it is free: others may use this machine too. */
async function freePort(wanted: number): Promise<number> {
  const server = createServer()
  const listens = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
  await listens(wanted).catch(() => listens(0))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  recording.shows(`127.0.0.1:${port}`, `127.0.0.1:${wanted}`)
  recording.shows(`/tcp/${port}`, `/tcp/${wanted}`)
  return port
}

function packed(): string {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    ...{ cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  })
  const [file] = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  if (file === undefined) throw new Error('npm pack has made no package')
  return file
}

async function hubWithModel(): Promise<FakeHub> {
  const hub = await new FakeHub().start()
  const bytes = readFileSync(join(root, 'models/pinaivu-demo-draft-q8_0.gguf'))
  const files = [{ path: 'tiny-Q8_0.gguf', bytes }]
  hub.repos = [{ id: 'pinaivu/tiny-GGUF', files, licence: 'apache-2.0' }]
  return hub
}

/** The server itself where it was built (`npm run bench engine`); CI need not wait for that. */
async function upstreamServer(): Promise<Scene['upstream'] & { stop(): Promise<void> }> {
  const isReal = given === undefined && existsSync(llamaServerProgram())
  const fake = fakeLlamaServer({ says: ['A', ' stand-in', ' says', ' so', '.'] })
  const server = isReal
    ? await startLlamaServer({
        ...{ model: join(root, 'models/pinaivu-demo-q8_0.gguf'), threads: 1 },
        ...{ slots: 2, context: 512 },
      })
    : await fake.start()
  recording.shows(server.url, 'http://127.0.0.1:8080')
  return {
    url: server.url,
    what: isReal ? 'a llama-server' : 'a stand-in for llama-server',
    says: isReal ? /A peer is one running process/ : /A stand-in says so\./,
    stop: () => server.stop(),
  }
}

/** An empty home; how this machine reaches the registry stays. */
function environment(hub: FakeHub): Record<string, string> {
  const isOurs = (place: string) => place.split(sep).includes('node_modules')
  const path = (process.env.PATH ?? '').split(delimiter).filter((place) => !isOurs(place))
  const ofNpm = (name: string) =>
    execFileSync('npm', ['config', 'get', name], {
      ...{ encoding: 'utf8', env: { ...process.env, PATH: path.join(delimiter) } },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  const ours = Object.entries(process.env).filter(([name]) => !/^(npm|pinaivu)_/i.test(name))
  return {
    ...(Object.fromEntries(ours) as Record<string, string>),
    npm_config_cache: ofNpm('cache'),
    npm_config_userconfig: ofNpm('userconfig'),
    // Is looked for beside the Node that runs npm: below that is another one, with no certificates of this machine's.
    npm_config_globalconfig: ofNpm('globalconfig'),
    npm_config_loglevel: 'error',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    // This Node, as npm and npx find theirs.
    PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
    HOME: home,
    HF_ENDPOINT: hub.url,
    PINAIVU_THREADS: '1',
    // As on a terminal.
    PINAIVU_LOG_LEVEL: 'warn',
  }
}

function writeRecording(): void {
  const title =
    'A terminal: pinaivu-peer is installed, started, asked, given a model and a second peer, backed up, ' +
    'lost and restored; its receipts still hold.'
  writeFileSync(join(root, '.github/journey.txt'), recording.text)
  writeFileSync(join(root, '.github/journey.svg'), svgOf(recording, title))
}

async function main(): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const package_ = packed()
  const hub = await hubWithModel()
  const env = environment(hub)
  const ports = { http: await freePort(7472), listen: await freePort(7473) }
  recording.shows(home, '/home/you')
  recording.shows(hub.url, 'http://127.0.0.1:8000')
  recording.shows(`${folder}/`, '')
  const one = new Terminal('one', recording, {
    folder,
    env: {
      ...env,
      PINAIVU_HTTP: `127.0.0.1:${await freePort(7462)}`,
      // Nobody else is to reach a test.
      PINAIVU_LISTEN: `/ip4/127.0.0.1/tcp/${await freePort(7463)}`,
    },
  })
  const two = new Terminal('two', recording, { folder, env: { ...env } })
  const { version } = JSON.parse(
    readFileSync(join(root, 'node_modules/node-llama-cpp/package.json'), 'utf8'),
  )
  const engine = `@node-llama-cpp/${process.platform}-${process.arch}@${version}`
  const install = `npm install --omit=optional ./${package_} ${engine}`
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      one.close()
      two.close()
      process.exit(1)
    })
  }
  const upstream = await upstreamServer()
  try {
    await journey({ ...{ recording, one, two, install, ports, upstream } })
  } finally {
    one.close()
    two.close()
    hub.stop()
    await upstream.stop()
    rmSync(home, { recursive: true, force: true })
    if (given === undefined) rmSync(folder, { recursive: true, force: true })
  }
  process.stdout.write(recording.text)
  if (given === undefined) writeRecording()
}

await main()
