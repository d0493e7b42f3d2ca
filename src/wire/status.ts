/** What a provider pushes to the peers that watch it: at every change, and while nothing changes. */
export interface Status {
  /** Of its newest advert: who knows an older one asks for it. */
  advertSequence: number
  /** It takes no new jobs: it is about to leave. */
  draining: boolean
  models: ModelLoad[]
}

export interface ModelLoad {
  /** The model's id, as in the advert. */
  id: string
  ready: boolean
  slots: number
  running: number
  queued: number
  /** Decoded tokens a second of one answer, lately; 0 before the first. */
  tokensPerSecond: number
}
