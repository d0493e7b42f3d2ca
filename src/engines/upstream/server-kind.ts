/** What is known of a kind of server from its documentation, beyond OpenAI's. */
export interface ServerKind {
  name: 'vLLM' | 'SGLang' | 'llama-server' | 'Ollama' | 'LM Studio' | 'unknown'
  /** Answers that it is given to write at once; the rest waits here, where turns are fair. */
  slots: number
  /** It would pass over it without a word otherwise. */
  takesLogitBias: boolean
  givesLogprobs: boolean
  /** Whether, and which, functions are to be called. all: a single one by its name, too. */
  takesCalling: 'all' | 'words' | 'none'
  /** JSON without a schema. */
  takesPlainJson: boolean
  takesCacheSalt: boolean
  /** It counts the prompt in the first event, and not only in the last. */
  countsEarly: boolean
  /** For an event to come with what was counted until then. */
  streamOptions: Readonly<Record<string, unknown>>
  options: Readonly<Record<string, unknown>>
}

const common = {
  takesLogitBias: true,
  givesLogprobs: true,
  takesCalling: 'all',
  takesPlainJson: true,
  takesCacheSalt: false,
  countsEarly: false,
  streamOptions: {},
  options: {},
} as const

/** Both batch whatever comes; 64 answers at once are as much as one account may have wait here. */
const batching = { ...common, slots: 64, countsEarly: true, takesCacheSalt: true }
const continuous = { continuous_usage_stats: true }

export const serverKinds = {
  vLLM: { ...batching, name: 'vLLM', streamOptions: continuous },
  SGLang: { ...batching, name: 'SGLang', streamOptions: continuous },
  /** Its `/props` says how many slots it has. */
  'llama-server': {
    ...common,
    name: 'llama-server',
    slots: 4,
    countsEarly: true,
    options: { timings_per_token: true },
  },
  /** As many as it runs at once by default where memory is not short. */
  Ollama: { ...common, name: 'Ollama', slots: 4, takesLogitBias: false, takesCalling: 'none' },
  'LM Studio': {
    ...common,
    name: 'LM Studio',
    slots: 4,
    givesLogprobs: false,
    takesCalling: 'words',
    takesPlainJson: false,
  },
  unknown: { ...common, name: 'unknown', slots: 8 },
} as const satisfies Record<ServerKind['name'], ServerKind>
