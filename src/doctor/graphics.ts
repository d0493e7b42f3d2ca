import { execFile } from 'node:child_process'
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What the system shows of graphics cards, without asking a compute library. */
export interface Graphics {
  /** Makers of the cards that are plugged in. */
  makers: readonly Maker[]
  nvidia: NvidiaDriver
  /** Devices of the machine are seen here, but perhaps not handed on. */
  inContainer: boolean
  /** The environment variable that hides them, with its value. */
  hiddenBy: string | undefined
}

export type Maker = 'NVIDIA' | 'AMD' | 'Intel'

export type NvidiaDriver =
  | { type: 'missing' }
  | { type: 'works'; version: string; names: readonly string[] }
  /** `status` is what nvidia-smi ended with. */
  | { type: 'broken'; status: number; says: string }

export interface GraphicsSources {
  env: Readonly<Record<string, string | undefined>>
  /** Of the file system; another one in tests. */
  root?: string | undefined
  /** For the driver to answer. */
  ms: number
  signal: AbortSignal
}

/** PCI's numbers of those who make cards that llama.cpp can use. */
const makers: Readonly<Record<string, Maker>> = {
  '0x10de': 'NVIDIA',
  '0x1002': 'AMD',
  '0x8086': 'Intel',
}
/** PCI's class of displays and of processors of their kind without one. */
const DISPLAY = /^0x03(00|02|80)/
/** More than a machine has. */
const DEVICES_MAX = 2048
const SAYS_MAX = 200

export async function readGraphics(sources: GraphicsSources): Promise<Graphics> {
  const { env, root = '/' } = sources
  const [found, nvidia, docker, podman] = await Promise.all([
    pluggedIn(root),
    askNvidia(sources),
    isThere(join(root, '.dockerenv')),
    isThere(join(root, 'run/.containerenv')),
  ])
  // A machine whose bus is not shown, as Windows, still has what the driver shows.
  const byDriver: Maker[] = nvidia.type === 'works' ? ['NVIDIA'] : []
  return {
    makers: [...new Set([...found, ...byDriver])],
    nvidia,
    inContainer: docker || podman,
    hiddenBy: hiding(env),
  }
}

async function pluggedIn(root: string): Promise<Maker[]> {
  const folder = join(root, 'sys/bus/pci/devices')
  const devices = (await readdir(folder).catch(() => [])).slice(0, DEVICES_MAX)
  const read = (device: string, name: string) =>
    readFile(join(folder, device, name), 'utf8').catch(() => '')
  const all = await Promise.all(
    devices.map(async (device) => {
      const [kind, maker] = await Promise.all([read(device, 'class'), read(device, 'vendor')])
      return DISPLAY.test(kind) ? (makers[maker.trim()] ?? []) : []
    }),
  )
  return all.flat()
}

async function askNvidia({ env, ms, signal }: GraphicsSources): Promise<NvidiaDriver> {
  const args = ['--query-gpu=driver_version,name', '--format=csv,noheader']
  const options = {
    env: { PATH: env.PATH, SystemRoot: env.SystemRoot },
    signal,
    timeout: ms,
    killSignal: 'SIGKILL',
  } as const
  return await new Promise((resolve) => {
    execFile('nvidia-smi', args, options, (error, stdout, stderr) => {
      if (error === null) resolve(driverOf(stdout))
      else if (error.code === 'ENOENT' || error.code === 'EACCES') resolve({ type: 'missing' })
      else {
        const text = error.killed === true ? 'it gave no answer' : stdout.trim() || stderr.trim()
        const says = text.replace(/\s+/g, ' ').slice(0, SAYS_MAX)
        resolve({ type: 'broken', status: Number(error.code) || -1, says })
      }
    })
  })
}

/** Lines such as `570.86.15, NVIDIA H200`. */
function driverOf(text: string): NvidiaDriver {
  const rows = text
    .split('\n')
    .map((line) => /^([\d.]+),\s*(.+?)\s*$/.exec(line))
    .filter((row) => row !== null)
  const version = rows[0]?.[1]
  if (version === undefined) return { type: 'broken', status: 0, says: 'it lists no card' }
  return { type: 'works', version, names: rows.map(([, , name]) => name ?? '') }
}

/** An empty list or -1 hides all cards. */
function hiding(env: GraphicsSources['env']): string | undefined {
  const names = ['CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES']
  const name = names.find((each) => /^(\s*|-1|none|void|NoDevFiles)$/.test(env[each] ?? '0'))
  return name === undefined ? undefined : `${name}="${env[name]}"`
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
