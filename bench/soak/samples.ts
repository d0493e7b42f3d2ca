import { descriptorsOf, memoryOf } from '../peer.ts'
import { collect } from './heap.ts'
import type { Lasting, SoakPeers } from './peers.ts'

export interface Sample {
  atS: number
  processes: ProcessSample[]
  /** Requests that run and that wait at the peers, over all models. */
  busy: number
}

export interface ProcessSample extends Lasting {
  /** What it takes, before its garbage was collected. */
  mb: number
  /** After that; `ownMb` without mapped files, whose pages the system takes and gives as it likes. */
  ownMb: number
  heapMb: number
  descriptors: number
}

/** One process after the other: all of their debuggers use the one port. */
export async function sample(peers: SoakPeers, startedAt: number): Promise<Sample> {
  const processes: ProcessSample[] = []
  for (const lasting of peers.lasting) {
    const { pid } = lasting
    const { residentMb: mb } = await memoryOf(pid)
    const heapMb = await collect(pid)
    const { ownMb } = await memoryOf(pid)
    const descriptors = await descriptorsOf(pid)
    const weighed = { mb: tenths(mb), ownMb: tenths(ownMb), heapMb: tenths(heapMb) }
    processes.push({ ...lasting, ...weighed, descriptors })
  }
  const atS = Math.round((performance.now() - startedAt) / 1000)
  return { atS, processes, busy: await busyOf(peers) }
}

export const descriptorsIn = ({ processes }: Sample): number =>
  processes.reduce((sum, { descriptors }) => sum + descriptors, 0)

interface Readiness {
  models: { running: number; queued: number }[]
}

async function busyOf({ endpoints }: SoakPeers): Promise<number> {
  let busy = 0
  for (const { http } of endpoints) {
    // Kept open, the connection would be counted among the peer's descriptors.
    const response = await fetch(`${http}/readyz`, { headers: { connection: 'close' } })
    const { models } = (await response.json()) as Readiness
    for (const { running, queued } of models) busy += running + queued
  }
  return busy
}

const tenths = (mb: number): number => Math.round(mb * 10) / 10
