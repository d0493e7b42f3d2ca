import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from './cache.ts'
import { runCommand, startProgram } from './program.ts'

export interface LlamaServer {
  url: string
  stop(): Promise<void>
}

export interface LlamaServerOptions {
  model: string
  /** Undefined: as many as it takes of its own accord. */
  threads?: number
  slots: number
  /** Tokens for each slot. */
  context: number
}

const START_MS = 120_000
const POLL_MS = 100

/** The llama.cpp that node-llama-cpp was built from comes with it, as a git bundle. */
const packageFolder = fileURLToPath(new URL('..', import.meta.resolve('node-llama-cpp')))

/**
 * Release, for this machine's own instructions: node-llama-cpp picks the build that suits the
 * processor when it starts, so this is the like. What needs the network is off.
 */
const cmakeOptions = [
  '-DCMAKE_BUILD_TYPE=Release',
  '-DGGML_NATIVE=ON',
  '-DBUILD_SHARED_LIBS=OFF',
  '-DLLAMA_BUILD_TESTS=OFF',
  '-DLLAMA_BUILD_EXAMPLES=OFF',
  '-DLLAMA_BUILD_APP=OFF',
  '-DLLAMA_BUILD_UI=OFF',
  '-DLLAMA_USE_PREBUILT_UI=OFF',
  '-DLLAMA_OPENSSL=OFF',
  '-DLLAMA_SUBPROCESS=OFF',
]

export function llamaCppVersion(): string {
  const facts = JSON.parse(readFileSync(join(packageFolder, 'llama/llama.cpp.info.json'), 'utf8'))
  return String(facts.tag)
}

const folderOf = (): string => join(cacheFolder, `llama-server-${llamaCppVersion()}`)

/** Where the program is, once it was built. */
export const llamaServerProgram = (): string => join(folderOf(), 'build/bin/llama-server')

/** The path of the program, which is built the first time: git, cmake, a C++ compiler, minutes. */
export async function buildLlamaServer(): Promise<string> {
  const folder = folderOf()
  const source = join(folder, 'src')
  const build = join(folder, 'build')
  const program = llamaServerProgram()
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  if (!existsSync(join(source, 'CMakeLists.txt'))) {
    const bundle = join(packageFolder, 'llama/gitRelease.bundle')
    await runCommand('git', ['-c', 'advice.detachedHead=false', 'clone', '-q', bundle, source])
  }
  await runCommand('cmake', ['-S', source, '-B', build, ...cmakeOptions])
  // Two jobs at low priority: whoever waits for a bench still wants to use the machine.
  const make = ['cmake', '--build', build, '--target', 'llama-server', '-j', '2']
  await runCommand('nice', ['-n', '10', ...make])
  return program
}

export async function startLlamaServer(options: LlamaServerOptions): Promise<LlamaServer> {
  const program = await buildLlamaServer()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = startProgram(program, serverArguments(options, port), { stdio: 'ignore' })
  const deadline = performance.now() + START_MS
  while (!(await healthy(url))) {
    if (server.process.exitCode !== null || performance.now() > deadline) {
      await server.stop()
      throw new Error('llama-server did not start')
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return { url, stop: () => server.stop() }
}

/** What could make it slower than it must be is off: the prompt cache copies state about. */
function serverArguments(options: LlamaServerOptions, port: number): string[] {
  const { model, threads, slots, context } = options
  const pairs = {
    '--host': '127.0.0.1',
    '--port': port,
    '--model': model,
    ...(threads === undefined ? {} : { '--threads': threads, '--threads-batch': threads }),
    '--parallel': slots,
    '--ctx-size': slots * context,
    '--cache-ram': 0,
    '--fit': 'off',
    '--verbosity': 1,
  }
  return [
    ...Object.entries(pairs).flatMap(([name, value]) => [name, String(value)]),
    '--no-kv-unified',
    '--no-cache-prompt',
    '--offline',
  ]
}

async function healthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok
  } catch {
    return false
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'))
        else resolve(address.port)
      })
    })
  })
}
