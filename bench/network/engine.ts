import type { ModelStatus, PeerComponents } from '../../src/index.ts'
import { now } from './now.ts'

/** Answers at once, with tokens that say when they were made. */
export const MODEL = 'instant'

const status: ModelStatus = {
  name: MODEL,
  id: `cid:bafkrei${'a'.repeat(52)}`,
  state: 'ready',
  created: 1_750_000_000,
  demo: false,
  facts: {
    kind: 'chat',
    architecture: 'none',
    parameters: 1,
    quant: 'none',
    sizeBytes: 1,
    contextLength: 1_000_000,
    vocabularySize: 1_000_000,
    embeddingLength: 1,
  },
  slots: 256,
  running: 0,
  queued: 0,
}

const INPUT_TOKENS = 32

export const instantEngine: PeerComponents['engine'] = {
  start: async () => {},
  stop: async () => {},
  status: () => [status],
  resolve: (name) => (name === MODEL ? status : undefined),
  hardware: () => ({ gpus: [], cpu: 'none', cpuThreads: 1, ramBytes: 1, backend: 'cpu' }),
  onChange: () => () => {},
  onLoad: () => () => {},
  async *generate({ work }, { signal }) {
    if (work.kind !== 'chat') throw new Error('this engine chats')
    yield { type: 'accepted', inputTokens: INPUT_TOKENS }
    const stepMs = Number(work.messages.at(-1)?.content)
    const tokens = work.sampling.maxTokens ?? 1
    let index = 0
    for (; index < tokens && !signal.aborted; index++) {
      if (index > 0) await step(stepMs)
      yield { type: 'tokens', choice: 0, index, ids: [index], text: `@${now()}` }
    }
    const usage = { inputTokens: INPUT_TOKENS, cachedTokens: 0, outputTokens: index }
    yield { type: 'done', finish: [signal.aborted ? 'cancelled' : 'length'], usage }
  },
}

let nextAt = 0
let stepping: Promise<void> | undefined

/** All answers get their next token at the same time, as those of one batch do; 0 ms is the next turn. */
function step(ms: number): Promise<void> {
  stepping ??= new Promise((resolve) => {
    const next = () => {
      stepping = undefined
      resolve()
    }
    const now = performance.now()
    nextAt = Math.max(nextAt + ms, now)
    if (ms === 0) setImmediate(next)
    else setTimeout(next, nextAt - now)
  })
  return stepping
}
