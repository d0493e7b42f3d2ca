import { getLlamaGpuTypes } from 'node-llama-cpp'
import { messageOf, PeerError } from '../../base/errors.ts'
import { nativeLibrary } from './core/binding.ts'
import { checkHead, readHead } from './core/gguf-check.ts'
import { headFacts } from './core/head-facts.ts'
import { hardwareOf, startLlama } from './core/load.ts'
import type { ProbeLine } from './probe.ts'

/**
 * Starts llama.cpp, looks at the heads of the model files that are named, loads none, and ends. Each
 * line on stdout stands for itself: on some malformed files llama.cpp ends the process.
 */
const say = (line: ProbeLine) => process.stdout.write(`${JSON.stringify(line)}\n`)

function failed(path: string | undefined, error: unknown): void {
  const code = error instanceof PeerError ? error.code : 'engine_failed'
  const about = path === undefined ? { type: 'engine' as const } : { type: 'model' as const, path }
  say({ ...about, error: { code, message: messageOf(error) } })
}

try {
  const llama = await startLlama('auto')
  const hardware = await hardwareOf(llama)
  say({ type: 'engine', hardware, usable: (await getLlamaGpuTypes('supported')).map(String) })
  const library = nativeLibrary(llama)
  for (const path of process.argv.slice(2)) {
    try {
      const head = await readHead(path)
      const facts = await headFacts(head, checkHead(head, library), llama)
      say({ type: 'model', path, facts })
    } catch (error) {
      failed(path, error)
    }
  }
  await llama.dispose()
} catch (error) {
  failed(undefined, error)
}
