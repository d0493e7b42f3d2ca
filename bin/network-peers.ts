import type { HttpClient } from './http-client.ts'
import { CommandError } from './io.ts'
import { bytesText } from './model-text.ts'

/** The running peer and those that it knows; of very many, not all. */
export interface KnownPeers {
  self: NetworkPeer
  others: NetworkPeer[]
  /** Of others that are not in the list. */
  more: number
}

/** A peer as `/v8/network/peers` tells of it, as far as commands show that. */
export interface NetworkPeer {
  node: string
  self: boolean
  version: string
  roles: string[]
  region: string | null
  hardware: PeerHardware
  models: NetworkModel[]
  connected: boolean
  rtt_ms: number | null
  evidence_age_s: number
}

export interface PeerHardware {
  gpus: { name: string; vram_total_bytes: number }[]
  cpu: string
  cpu_threads: number
  ram_bytes: number
  backend: string
}

export interface NetworkModel {
  /** Its name. */
  id: string
  parameters: number
  quant: string
  price: ModelPrice
  slots: number
  /** Null where the peer tells it to others only. */
  load: { running: number; queued: number } | null
}

export interface Load {
  slots: number
  running: number
  queued: number
}

/** Micro-credits per 1,000 tokens. */
export interface ModelPrice {
  input: number
  output: number
}

export async function readPeers(client: HttpClient, signal: AbortSignal): Promise<KnownPeers> {
  const answer = await client.json('GET', '/v8/network/peers', { signal, open: true })
  const { data, total } = (answer ?? {}) as { data?: unknown; total?: unknown }
  if (Array.isArray(data) && data.every(isPeer)) {
    const self = data.find((peer) => peer.self)
    const others = data.filter((peer) => peer !== self)
    if (self !== undefined) return { self, others, more: Number(total) - data.length }
  }
  throw new CommandError(`What answers at ${client.url} is no peer of a version this one knows.`)
}

/** A check of what is relied on; the rest is only shown. */
function isPeer(value: unknown): value is NetworkPeer {
  const { node, roles, models, hardware } = (value ?? {}) as Partial<NetworkPeer>
  return (
    typeof node === 'string' &&
    Array.isArray(roles) &&
    Array.isArray(hardware?.gpus) &&
    Array.isArray(models) &&
    models.every((model) => typeof model?.id === 'string')
  )
}

const idTail = 8

/** `…x7Kq2mPz`: all ids begin alike. */
export const shortId = (id: string): string => `…${id.slice(-idTail)}`

/** `NVIDIA H200 (139 GiB)`, or the processor where there is no graphics card. */
export function hardwareText({ gpus, cpu, cpu_threads, ram_bytes }: PeerHardware): string {
  if (gpus.length === 0) return `${cpu}, ${cpu_threads} threads, ${bytesText(ram_bytes)}`
  return gpus.map(({ name, vram_total_bytes: vram }) => `${name} (${bytesText(vram)})`).join(', ')
}

/** Slots and jobs of all models that the peer tells the load of. */
export function loadOf(models: readonly NetworkModel[]): Load | null {
  const told = models.flatMap(({ slots, load }) => (load === null ? [] : { slots, ...load }))
  if (told.length === 0) return null
  const sum = (of: keyof Load) => told.reduce((total, each) => total + each[of], 0)
  return { slots: sum('slots'), running: sum('running'), queued: sum('queued') }
}

/** Running jobs against slots, and behind a plus those that wait: `3/4`, `4/4 +2`. */
export function loadText(load: Load | null): string {
  if (load === null) return '-'
  const { slots, running, queued } = load
  return `${running}/${slots}${queued === 0 ? '' : ` +${queued}`}`
}

/** `40/120`, or several of them. */
export function priceText(prices: readonly (ModelPrice | undefined)[]): string {
  const texts = prices.flatMap((price) => (price ? `${price.input}/${price.output}` : []))
  return [...new Set(texts)].join(', ') || '-'
}

/** `0.81 ms`, `12 ms`. */
export const rttText = (ms: number | null): string =>
  ms === null ? '-' : `${Number(ms.toPrecision(2))} ms`
