import {
  array,
  boolean,
  type Infer,
  integer,
  literal,
  nullable,
  number,
  object,
  string,
} from './schema.ts'

const country = nullable(string({ description: 'ISO 3166 alpha-2, declared, not verified.' }))

/** Zeros count what did not happen; null stands for what nobody measured. */
export const summarySchema = object({
  object: literal('network.summary'),
  generated_at: string(),
  window_s: integer(),
  online_nodes: integer({ description: 'Peers that this one has fresh evidence of, and itself.' }),
  tracked_nodes: integer(),
  tps: object({
    now: number({ description: 'Output tokens a second, of the requests made through this peer.' }),
    peak: number(),
  }),
  requests: object({ in_flight: integer(), last_60s: integer(), failed_60s: integer() }),
  regions: array(object({ country, nodes: integer(), tps: number(), share: nullable(number()) })),
  models: array(object({ id: string(), nodes: integer() })),
  latency_ms: object({ ttft_p50: nullable(number()), ttft_p95: nullable(number()) }),
  speculative: object({ runs_of_last_32: integer(), acceptance: nullable(number()) }),
  receipts: object({
    total: integer({ description: 'In the logs that came to this peer, each by its signer.' }),
    last_24h: integer({ description: 'By when they came here, to the hour.' }),
  }),
})

export type SummaryJson = Infer<typeof summarySchema>

const peerSchema = object({
  node: string({ description: 'Its peer id.' }),
  self: boolean({ description: 'The peer that is asked.' }),
  region: country,
  roles: array(string()),
  version: string(),
  hardware: object({
    gpus: array(
      object({ name: string(), vram_total_bytes: integer(), vram_free_bytes: integer() }),
    ),
    cpu: string(),
    cpu_threads: integer(),
    ram_bytes: integer(),
    backend: string(),
  }),
  models: array(
    object({
      id: string({ description: 'Its name.' }),
      content_id: string(),
      kind: string(),
      family: string(),
      parameters: integer(),
      quant: string(),
      context_length: integer(),
      capabilities: array(string()),
      price: object({ input: integer(), output: integer() }),
      slots: integer(),
      load: nullable(
        object({
          ready: boolean(),
          running: integer(),
          queued: integer(),
          tokens_per_second: number(),
        }),
        { description: 'As it tells those that watch it; null where this peer does not.' },
      ),
    }),
  ),
  connected: boolean(),
  rtt_ms: nullable(number()),
  evidence_age_s: number({ description: 'Since it was last heard of, by itself.' }),
})

export type PeerJson = Infer<typeof peerSchema>

export const peersSchema = object({
  object: literal('list'),
  generated_at: string(),
  data: array(peerSchema),
  total: integer({ description: 'Of all known peers; the list has an end.' }),
  has_more: boolean(),
})

export type PeersJson = Infer<typeof peersSchema>
