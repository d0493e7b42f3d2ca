import { availableParallelism, cpus, totalmem } from 'node:os'
import type { HardwareFacts } from '../wire/advert.ts'
import type { Hardware } from './engine.ts'

/** Characters of a name; drivers and firmware bring them, and lists, adverts and headers show them. */
const NAME_LENGTH_MAX = 100
/** More than one machine holds. */
const GPUS_MAX = 16

/** What the system says of itself, without its graphics cards. */
export interface SystemFacts {
  cpu: string
  cpuThreads: number
  ramBytes: number
}

export function readSystem(): SystemFacts {
  // A container may use less than the machine has; without a limit Node says 0, or more than all.
  const allowed = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return {
    cpu: cpus()[0]?.model ?? '',
    cpuThreads: availableParallelism(),
    ramBytes: Math.min(totalmem(), allowed),
  }
}

/** The machine, from the system and from what each model's process found when it had loaded. */
export function hardwareFacts(system: SystemFacts, found: readonly Hardware[]): HardwareFacts {
  const [first] = found.filter(({ gpu }) => gpu.length > 0)
  return {
    gpus: first === undefined ? [] : gpusOf(first, found),
    cpu: plainName(system.cpu),
    cpuThreads: system.cpuThreads,
    ramBytes: system.ramBytes,
    backend: first?.backend ?? 'cpu',
  }
}

/** The library tells the memory of all cards together: each is shown with an equal part of it. */
function gpusOf({ gpu, vramTotalBytes }: Hardware, found: readonly Hardware[]) {
  const names = gpu.slice(0, GPUS_MAX)
  // Each process saw what those before it had left.
  const free = Math.min(
    ...found.filter((each) => each.gpu.length > 0).map((each) => each.vramFreeBytes),
  )
  return names.map((name) => ({
    name: plainName(name),
    vramTotalBytes: Math.floor(vramTotalBytes / names.length),
    vramFreeBytes: Math.floor(free / names.length),
  }))
}

/** Printable ASCII on one line: `AMD EPYC 7B13 64-Core Processor`. */
function plainName(name: string): string {
  const plain = name.replace(/[^\x21-\x7e]+/g, ' ').trim()
  return plain.slice(0, NAME_LENGTH_MAX).trim() || 'unknown'
}
