import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Program, startProgram } from './program.ts'

const entry = fileURLToPath(new URL('../dist/bin/pinaivu-peer.js', import.meta.url))
const flags = ['--json', '--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
const START_MS = 60_000

export interface LoadedPeer extends Pick<Program, 'stop'> {
  pid: number
  http: string
  apiKey: string
  /** From the process's start: the ready line, the chat model's state, that of the last model. */
  apiMs: number
  demoMs: number
  allMs: number
}

/** The built program with its demo models, from its start until all of them are loaded. */
export async function startPeer(
  dataDir: string,
  options: { flags?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<LoadedPeer> {
  if (!existsSync(entry)) throw new Error('There is nothing to start yet: npm run build')
  if (!existsSync('/proc/self/status')) throw new Error('Memory is read from /proc: Linux only')
  const startedAt = performance.now()
  const program = startProgram(
    process.execPath,
    [
      ...[entry, 'start', ...flags, '--data-dir', dataDir, '--log-level', 'error'],
      ...(options.flags ?? []),
    ],
    { env: { ...process.env, ...options.env } },
  )
  try {
    const loaded = await untilLoaded(program, startedAt)
    const { pid } = program.process
    if (pid === undefined) throw new Error('the peer has no process')
    return { ...loaded, pid, stop: program.stop }
  } catch (error) {
    await program.stop()
    throw error
  }
}

interface Event {
  event: string
  name?: string
  state?: string
  models?: string[]
  http?: string
  apiKey?: string
}

async function untilLoaded(peer: Program, startedAt: number) {
  const { stdout } = peer.process
  if (stdout === null) throw new Error('the peer has no output to read')
  const timer = setTimeout(() => peer.process.kill(), START_MS)
  const loading = new Set<string>()
  const found = { http: '', apiKey: '', apiMs: Number.NaN, demoMs: Number.NaN }
  try {
    for await (const line of createInterface(stdout)) {
      const event: Event = JSON.parse(line)
      const ms = performance.now() - startedAt
      if (event.event === 'ready') {
        Object.assign(found, { apiMs: ms, http: event.http, apiKey: event.apiKey })
        for (const name of event.models ?? []) loading.add(name)
      }
      if (event.event !== 'model' || event.state !== 'ready' || event.name === undefined) continue
      if (event.name === 'pinaivu-demo') found.demoMs = ms
      loading.delete(event.name)
      if (loading.size === 0) return { ...found, allMs: ms }
    }
  } finally {
    clearTimeout(timer)
    stdout.resume()
  }
  throw new Error('the peer ended, or took too long, before its models were loaded')
}

export const residentMb = async (pid: number): Promise<number> => (await memoryOf(pid)).residentMb

/** `ownMb`: without the pages of files that are mapped, which the system may take back at any time. */
export interface Memory {
  residentMb: number
  ownMb: number
}

export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const mb = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { residentMb: mb('VmRSS'), ownMb: mb('RssAnon') }
}

/** Files, sockets, pipes and whatever else a process holds open. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}
