import type { HttpClient } from './http-client.ts'
import { CommandError } from './io.ts'
import type { ModelPrice } from './network-peers.ts'

/** Which network it belongs to, and how it was told to join that. */
export interface Joining {
  name: string
  /** How many peers to join through it was given. */
  bootstrap: number
  mdns: boolean
}

/** What `/readyz` says, as far as commands show it. */
export interface PeerState {
  ready: boolean
  version: string
  uptime_s: number
  memory_bytes: number
  storage: 'ok' | 'failed'
  network: Joining & {
    peer_id: string
    addrs: string[]
    connections: number
    listening: boolean
    /** Missing at a peer of an older version. */
    nat?: { verdict: 'public' | 'private' | 'unknown'; relays: string[] }
    directory: { peers: number }
  }
  models: ModelRow[]
}

export interface ModelRow {
  name: string
  state: string
  unloaded?: boolean
  demo: boolean
  kind: string | null
  parameters: number | null
  quant: string | null
  size_bytes: number | null
  context_length: number | null
  slots: number | null
  running: number
  queued: number
  tokens_per_second: number | null
  progress: number | null
  error: { code: string; message: string | null } | null
}

/** `2 known peers and the local network (mDNS)`; empty for a peer that is to be alone. */
export function waysToJoin({ bootstrap, mdns }: Pick<Joining, 'bootstrap' | 'mdns'>): string {
  const peers = bootstrap === 1 ? '1 known peer' : `${bootstrap} known peers`
  return [bootstrap > 0 ? peers : [], mdns ? 'the local network (mDNS)' : []].flat().join(' and ')
}

/** A model that can be asked through the peer, as `/v1/models` lists it. */
export interface ModelOffer {
  id: string
  /** Other peers serve it, and this one does not. */
  network: boolean
  nodes: number
  content_id?: string
  kind?: string
  context_length?: number
  price?: ModelPrice
}

export async function readOffers(client: HttpClient, signal: AbortSignal): Promise<ModelOffer[]> {
  const { data } = ((await client.json('GET', '/v1/models', { signal })) ?? {}) as {
    data?: unknown
  }
  if (Array.isArray(data) && data.every((each) => typeof each?.id === 'string')) return data
  throw new CommandError(`What answers at ${client.url} is no peer of a version this one knows.`)
}

const notReadyStatus = 503 // the same object: it says what is missing

export async function readState(client: HttpClient, signal: AbortSignal): Promise<PeerState> {
  const state = await client.json('GET', '/readyz', { signal }, [notReadyStatus])
  if (isState(state)) return state
  throw new CommandError(`What answers at ${client.url} is no peer of a version this one knows.`)
}

/** A check of what is relied on; the rest is only shown. */
function isState(value: unknown): value is PeerState {
  if (typeof value !== 'object' || value === null) return false
  const { network, models } = value as Partial<PeerState>
  return Array.isArray(network?.addrs) && Array.isArray(models) && models.every(isRow)
}

const isRow = (value: Partial<ModelRow> | null): boolean =>
  typeof value?.name === 'string' && typeof value.state === 'string'

/** The model to talk to: the one that is asked for, or the first that can chat. */
export async function chooseModel(
  client: HttpClient,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  // The peer knows aliases, and which models other peers have: it is the one to refuse.
  if (wanted !== undefined) return wanted
  const { models } = await readState(client, signal)
  // The kind is known once a model is loaded; one that still loads may well be for chat.
  const own = models.find(({ kind, state }) => kind !== 'embedding' && state !== 'failed')
  if (own !== undefined) return own.name
  const offers = await readOffers(client, signal)
  const elsewhere = offers.find(
    ({ network, nodes, kind }) => network && nodes > 0 && kind === 'chat',
  )
  if (elsewhere !== undefined) return elsewhere.id
  throw new CommandError(
    'This peer has no model to chat with, nor has any that it knows. Start it with --model FILE.',
  )
}
