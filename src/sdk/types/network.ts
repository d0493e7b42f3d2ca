// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** What `GET /v8/network/summary` answers. */
export interface NetworkSummary {
  object: 'network.summary'
  generated_at: string
  window_s: number
  /** Peers that this one has fresh evidence of, and itself. */
  online_nodes: number
  tracked_nodes: number
  tps: {
    /** Output tokens a second, of the requests made through this peer. */
    now: number
    peak: number
  }
  requests: {
    in_flight: number
    last_60s: number
    failed_60s: number
  }
  regions: {
    country: string | null
    nodes: number
    tps: number
    share: number | null
  }[]
  models: {
    id: string
    nodes: number
  }[]
  latency_ms: {
    ttft_p50: number | null
    ttft_p95: number | null
  }
  speculative: {
    runs_of_last_32: number
    acceptance: number | null
  }
  receipts: {
    /** In the logs that came to this peer, each by its signer. */
    total: number
    /** By when they came here, to the hour. */
    last_24h: number
  }
}

/** What `GET /v8/network/peers` answers. */
export interface NetworkPeers {
  object: 'list'
  generated_at: string
  data: NetworkPeer[]
  /** Of all known peers; the list has an end. */
  total: number
  has_more: boolean
}

/** In what `GET /v8/network/peers` answers. */
export interface NetworkPeer {
  /** Its peer id. */
  node: string
  /** The peer that is asked. */
  self: boolean
  region: string | null
  roles: string[]
  version: string
  hardware: {
    gpus: {
      name: string
      vram_total_bytes: number
      vram_free_bytes: number
    }[]
    cpu: string
    cpu_threads: number
    ram_bytes: number
    backend: string
  }
  models: {
    /** Its name. */
    id: string
    content_id: string
    kind: string
    family: string
    parameters: number
    quant: string
    context_length: number
    capabilities: string[]
    price: {
      input: number
      output: number
    }
    slots: number
    /** As it tells those that watch it; null where this peer does not. */
    load: {
      ready: boolean
      running: number
      queued: number
      tokens_per_second: number
    } | null
  }[]
  connected: boolean
  rtt_ms: number | null
  /** Since it was last heard of, by itself. */
  evidence_age_s: number
}

/** What `GET /readyz` answers. */
export interface Readiness {
  ready: boolean
  version: string
  uptime_s: number
  memory_bytes: number
  /** Failed: a write did not reach the disk. Make room and start the peer again. */
  storage: 'ok' | 'failed'
  network: {
    /** Peers of another network are never seen. */
    name: string
    /** Peers that this one was told to join through. */
    bootstrap: number
    /** Whether it looks for others on the local network. */
    mdns: boolean
    peer_id: string
    addrs: string[]
    connections: number
    listening: boolean
    nat: {
      /** Whether peers anywhere can dial this one. Unknown: none of them was met. */
      verdict: 'public' | 'private' | 'unknown'
      relays: string[]
    }
    directory: {
      /** That this one could use. */
      peers: number
    }
  }
  models: ModelState[]
}

/** In what `GET /readyz` answers. */
export interface ModelState {
  name: string
  id: string | null
  kind: string | null
  state: 'waiting' | 'loading' | 'ready' | 'restarting' | 'failed'
  /** It makes room for others; whoever asks for it has it loaded. */
  unloaded: boolean
  demo: boolean
  created: number
  running: number
  queued: number
  slots: number | null
  threads: number | null
  tokens_per_second: number | null
  progress: number | null
  architecture: string | null
  parameters: number | null
  quant: string | null
  size_bytes: number | null
  context_length: number | null
  error: {
    code: string
    message: string | null
  } | null
}
