import type { HttpClient } from './http-client.ts'
import { CommandError } from './io.ts'

/** What `/readyz` says, as far as commands show it. */
export interface PeerState {
  ready: boolean
  version: string
  uptime_s: number
  memory_bytes: number
  network: { peer_id: string; addrs: string[]; connections: number; listening: boolean }
  models: ModelRow[]
}

export interface ModelRow {
  name: string
  state: string
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
  const found = models.find(({ kind, state }) => kind !== 'embedding' && state !== 'failed')
  if (found !== undefined) return found.name
  throw new CommandError('This peer has no model to chat with. Start it with --model FILE.')
}
