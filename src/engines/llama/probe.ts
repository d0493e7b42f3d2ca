import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hardware } from '../engine.ts'
import { modelShards } from '../model-shards.ts'
import type { HeadFacts } from '../store/manifest.ts'
import { engineEnvironment } from './child-process.ts'

interface Fault {
  code: string
  message: string
}

/** What the process says, a JSON object a line. */
export type ProbeLine =
  /** `usable`: the kinds of graphics whose drivers and libraries were found. */
  | { type: 'engine'; hardware: Hardware; usable: string[] }
  | { type: 'engine'; error: Fault }
  | { type: 'model'; path: string; facts: HeadFacts }
  | { type: 'model'; path: string; error: Fault }

export interface EngineProbe {
  /** Undefined where llama.cpp doesn't start; `error` says why. */
  hardware: Hardware | undefined
  usable: readonly string[]
  error: Fault | undefined
  models: readonly ProbedModel[]
}

export interface ProbedModel {
  path: string
  /** All its files together. */
  sizeBytes: number
  /** Undefined where it can be loaded, as far as its head tells. */
  error: Fault | undefined
  /** Undefined where it was not read. */
  facts?: HeadFacts | undefined
}

export interface ProbeOptions {
  /** The peer's environment; a part of it is handed on. */
  env: Readonly<Record<string, string | undefined>>
  models: readonly string[]
  signal: AbortSignal
}

const ENTRY = join(
  import.meta.dirname,
  import.meta.filename.endsWith('.ts') ? 'probe-child.ts' : 'probe-child.js',
)
const OUTPUT_BYTES_MAX = 1024 * 1024
/** Heads have some megabytes: one that keeps it longer was made for that. */
const PROBE_MS_MAX = 120_000

/** Has a process of its own start llama.cpp and look at models, without loading any. */
export async function probeEngine({ env, models, signal }: ProbeOptions): Promise<EngineProbe> {
  const lines = await said(models, env, signal)
  const engine = lines.find((line) => line.type === 'engine')
  const hasEnded = {
    code: 'engine_unavailable',
    message: 'llama.cpp ended the process that started it. Install it again: npm install.',
  }
  return {
    hardware: engine !== undefined && 'hardware' in engine ? engine.hardware : undefined,
    usable: engine !== undefined && 'usable' in engine ? engine.usable : [],
    error: engine === undefined ? hasEnded : 'error' in engine ? engine.error : undefined,
    models: await Promise.all(models.map((path) => modelOf(path, lines))),
  }
}

async function said(
  models: readonly string[],
  env: ProbeOptions['env'],
  signal: AbortSignal,
): Promise<ProbeLine[]> {
  const text = await new Promise<string>((resolve) => {
    const options = {
      env: engineEnvironment(env),
      signal,
      timeout: PROBE_MS_MAX,
      killSignal: 'SIGKILL',
      maxBuffer: OUTPUT_BYTES_MAX,
    } as const
    // What it said until then counts, however it ended.
    execFile(process.execPath, [ENTRY, ...models], options, (_error, stdout) => resolve(stdout))
  })
  signal.throwIfAborted()
  return text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{"type":') ? [JSON.parse(line) as ProbeLine] : []
    } catch {
      return []
    }
  })
}

async function modelOf(path: string, lines: readonly ProbeLine[]): Promise<ProbedModel> {
  const sizes = await Promise.all(modelShards(path).map(sizeOf))
  const sizeBytes = sizes.reduce((sum, size) => sum + size, 0)
  const line = lines.find((each) => each.type === 'model' && each.path === path)
  if (line !== undefined) {
    const { error, facts } = { error: undefined, facts: undefined, ...line }
    return { path, sizeBytes, error, facts }
  }
  const wasReached = lines.some((each) => each.type === 'engine' && 'hardware' in each)
  // Those after it were not looked at.
  const message = 'llama.cpp could not look at it to the end. Fetch it again.'
  return {
    path,
    sizeBytes,
    error: wasReached ? { code: 'model_file_invalid', message } : undefined,
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )
