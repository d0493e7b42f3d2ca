import type { HttpClient } from './http-client.ts'
import { CommandError } from './io.ts'
import { bytesText } from './model-text.ts'

/** A peer of the network, itself included, as `/v8/network/peers` tells of it. All of it is claimed. */
export interface NetworkPeer {
  id: string
  self: boolean
  version: string | null
  roles: string[]
  region: string | null
  hardware: PeerHardware | null
  models: NetworkModel[]
  connected: boolean
  rtt_ms: number | null
  evidence_age_s: number | null
}

export interface PeerHardware {
  gpus: { name: string; vram_total_bytes: number }[]
  cpu: string
  cpu_threads: number
  ram_bytes: number
}

export interface NetworkModel {
  name: string
  id: string | null
  price: ModelPrice | null
  /** Null where it is not known at the moment. */
  slots: number | null
  running: number | null
  queued: number | null
}

/** Micro-credits per 1,000 tokens. */
export interface ModelPrice {
  input: number
  output: number
}

export async function readPeers(client: HttpClient, signal: AbortSignal): Promise<NetworkPeer[]> {
  const answer = await client.json('GET', '/v8/network/peers', { signal, open: true })
  const data = (answer as { data?: unknown } | null)?.data
  if (Array.isArray(data) && data.every(isPeer)) return data
  throw new CommandError(`What answers at ${client.url} is no peer of a version this one knows.`)
}

/** A check of what is relied on; the rest is only shown. */
function isPeer(value: unknown): value is NetworkPeer {
  const { id, roles, models } = (value ?? {}) as Partial<NetworkPeer>
  return (
    typeof id === 'string' &&
    Array.isArray(roles) &&
    Array.isArray(models) &&
    models.every((model) => typeof model?.name === 'string')
  )
}

const idTail = 8

/** `…x7Kq2mPz`: all ids begin alike. */
export const shortId = (id: string): string => `…${id.slice(-idTail)}`

/** `NVIDIA H200 (139 GiB)`, or the processor where there is no graphics card. */
export function hardwareText(hardware: PeerHardware | null): string {
  if (hardware === null) return '-'
  const { gpus, cpu, cpu_threads: threads, ram_bytes: ram } = hardware
  if (gpus.length === 0) return `${cpu}, ${threads} threads, ${bytesText(ram)}`
  return gpus.map(({ name, vram_total_bytes: vram }) => `${name} (${bytesText(vram)})`).join(', ')
}

/** Running and waiting jobs against slots: `3/4`, `4/4 +2`. */
export function loadText(models: readonly NetworkModel[]): string {
  const known = models.filter(({ running }) => running !== null)
  if (known.length === 0) return '-'
  const sum = (of: 'running' | 'slots' | 'queued') =>
    known.reduce((total, model) => total + (model[of] ?? 0), 0)
  const waiting = sum('queued')
  return `${sum('running')}/${sum('slots')}${waiting === 0 ? '' : ` +${waiting}`}`
}

export function priceText(prices: readonly (ModelPrice | null)[]): string {
  const texts = prices.map((price) => (price === null ? '-' : `${price.input}/${price.output}`))
  return [...new Set(texts)].join(', ') || '-'
}

/** `0.8 ms`, `12 ms`. */
export const rttText = (ms: number | null): string =>
  ms === null ? '-' : `${Number(ms.toPrecision(2))} ms`
