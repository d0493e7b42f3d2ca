/** What is known of a peer that runs on the data folder, before anything else is looked at. */
export type PeerSeen =
  | { type: 'none' }
  /** Its process is there, but gives no answer. */
  | { type: 'silent'; pid: number; http: string; why: string }
  /** It was started with `--no-http`. */
  | { type: 'closed'; pid: number }
  | { type: 'answers'; pid: number; http: string; peer: RunningPeer }

/** What a peer says of itself, as far as checks need it. */
export interface RunningPeer {
  version: string
  storage: 'ok' | 'failed'
  network: {
    name: string
    bootstrap: number
    mdns: boolean
    peerId: string
    addrs: string[]
    connections: number
    listening: boolean
    /** Undefined at a peer that doesn't find it out. */
    nat: { verdict: 'public' | 'private' | 'unknown'; relays: string[] } | undefined
  }
  models: RunningModel[]
  /** What llama.cpp found when it loaded a model. */
  gpus: { name: string; vramTotalBytes: number }[]
  backend: string
  heads: LogHead[]
  /** The same, and when it was read, a moment later. */
  later: () => Promise<LogHead[]>
}

export interface RunningModel {
  name: string
  state: string
  /** It makes room for others until somebody asks for it. */
  unloaded?: boolean
  error: { code: string; message: string | null } | null
}

/** The newest head of a peer's log, and the time on it by that peer's clock. */
export interface LogHead {
  author: string
  epoch: string
  size: number
  atMs: number
}
