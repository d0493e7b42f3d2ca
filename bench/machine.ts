import { availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os'

/** What a figure depends on. Nothing that names the machine or its owner. */
export interface MachineFacts {
  date: string
  cpu: string
  cores: number
  memoryGb: number
  platform: string
  node: string
  /** Average of the last minute when the bench began: what else was running. */
  loadBefore: number
  loadAfter?: number
}

export function machineFacts(): MachineFacts {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()}-${process.arch}`,
    node: process.version,
    loadBefore: currentLoad(),
  }
}

export function currentLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100
}
