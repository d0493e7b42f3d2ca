import { readGraphics } from './doctor/graphics.ts'
import type { FreeMemory } from './engines/fit.ts'
import { freeRam } from './engines/free-ram.ts'
import { probeEngine } from './engines/llama/probe.ts'

/** For the driver to answer, and for llama.cpp to start. */
const LOOK_MS = 3_000

/** What is free on this machine now. llama.cpp is started, which takes half a second, only where there is a card. */
export async function freeMemory(
  env: Readonly<Record<string, string | undefined>>,
): Promise<FreeMemory> {
  const signal = AbortSignal.timeout(LOOK_MS)
  const ramBytes = freeRam()
  const { makers } = await readGraphics({ env, ms: LOOK_MS, signal })
  const isLikely = process.platform === 'darwin' || makers.some((maker) => maker !== 'Intel')
  if (!isLikely) return { ramBytes, vramBytes: 0 }
  const probe = await probeEngine({ env, models: [], signal }).catch(() => undefined)
  return { ramBytes, vramBytes: probe?.hardware?.vramFreeBytes ?? 0 }
}
