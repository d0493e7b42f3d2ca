import type { Capability } from '../../wire/capability.ts'
import type { ModelFacts } from '../engine.ts'
import { countOf, type Fields, fieldsOf, listOf, textOf } from './json.ts'
import type { Listed, Question } from './probe.ts'
import type { ServerKind } from './server-kind.ts'

/** Where a server does not say it: as much as nearly all have room for. */
const CONTEXT_UNKNOWN = 8_192
/** Ollama's own, where neither the model nor its owner says another; what is longer it cuts off. */
const CONTEXT_OF_OLLAMA = 4_096

/** What a model of chats takes; undefined: it does not say, and refuses what it does not. */
export type Can = { [K in Capability]?: boolean | undefined }

type Said = Omit<ModelFacts, 'kind' | 'embeddingLength'> & {
  /** Undefined: it does not say. */
  kind?: ModelFacts['kind'] | undefined
  slots?: number
  can?: Can
}

/** How a kind of server tells of its models, as its documentation has it. */
export interface FactsReader {
  /** What is asked once for all models. */
  shared(question: Question): Promise<Fields | undefined>
  model(listed: Listed, shared: Fields | undefined, question: Question): Promise<Said>
}

const nothing = {
  architecture: '',
  parameters: 0,
  quant: '',
  sizeBytes: 0,
  vocabularySize: 0,
}

const none = async (): Promise<undefined> => undefined

/** vLLM and SGLang have `max_model_len`; gateways have their own words for it. */
const plain: FactsReader = {
  shared: none,
  async model({ card }) {
    const { max_model_len: length, context_length: other, context_window: third } = card
    const contextLength = countOf(length) || countOf(other) || countOf(third) || CONTEXT_UNKNOWN
    return { ...nothing, contextLength, can: saidOnCard(card) }
  },
}

/** OpenRouter, and who took it over, list the parameters of a model. */
function saidOnCard({ supported_parameters: parameters, architecture }: Fields): Can {
  const modalities = fieldsOf(architecture)?.input_modalities
  return {
    ...(Array.isArray(parameters) && {
      tools: parameters.includes('tools'),
      json: parameters.includes('response_format'),
    }),
    ...(Array.isArray(modalities) && { vision: modalities.includes('image') }),
  }
}

const sglang: FactsReader = {
  async shared(question) {
    const model = (await question('/model_info')) ?? (await question('/get_model_info'))
    const server = (await question('/server_info')) ?? (await question('/get_server_info'))
    return { ...model, server }
  },
  async model(listed, shared, question) {
    const facts = await plain.model(listed, undefined, question)
    const { tool_call_parser: parser } = fieldsOf(shared?.server) ?? {}
    // Without one it says calls as text.
    const tools = parser === undefined ? undefined : typeof parser === 'string'
    const can = { tools, json: true, vision: flagOf(shared?.has_image_understanding) }
    if (typeof shared?.is_generation !== 'boolean') return { ...facts, can }
    return { ...facts, can, kind: shared.is_generation ? 'chat' : 'embedding' }
  },
}

const llamaServer: FactsReader = {
  shared: (question) => question('/props'),
  async model({ card }, shared) {
    const meta = fieldsOf(card.meta) ?? {}
    const own = countOf(fieldsOf(shared?.default_generation_settings)?.n_ctx)
    const slots = countOf(shared?.total_slots)
    const { vision } = fieldsOf(shared?.modalities) ?? {}
    // A template that knows of no tools leaves them out without a word.
    const template = fieldsOf(shared?.chat_template_caps)?.supports_tools
    return {
      ...nothing,
      can: { tools: flagOf(template), json: true, vision: flagOf(vision) },
      parameters: countOfLarge(meta.n_params),
      sizeBytes: countOfLarge(meta.size),
      vocabularySize: countOf(meta.n_vocab) ?? 0,
      contextLength: own || countOf(meta.n_ctx_train) || CONTEXT_UNKNOWN,
      ...(slots && { slots }),
    }
  },
}

const ollama: FactsReader = {
  /** Which models are loaded, and with how much room. */
  shared: (question) => question('/api/ps'),
  async model({ id }, shared, question) {
    const shown = (await question('/api/show', { model: id })) ?? {}
    const details = fieldsOf(shown.details) ?? {}
    const info = fieldsOf(shown.model_info) ?? {}
    const architecture = textOf(info['general.architecture']) ?? textOf(details.family) ?? ''
    const most = countOf(info[`${architecture}.context_length`]) || CONTEXT_UNKNOWN
    const loaded = listOf(shared?.models)
      .map((row) => fieldsOf(row))
      .find((row) => row?.model === id || row?.name === id)
    const set = /^num_ctx\s+(\d{1,8})\s*$/m.exec(textOf(shown.parameters) ?? '')?.[1]
    const given = countOf(loaded?.context_length) || Number(set ?? 0) || CONTEXT_OF_OLLAMA
    const can = listOf(shown.capabilities)
    const isEmbedding = can.includes('embedding') && !can.includes('completion')
    return {
      ...nothing,
      kind: isEmbedding ? 'embedding' : 'chat',
      can: { tools: can.includes('tools'), json: true, vision: can.includes('vision') },
      architecture,
      parameters: countOfLarge(info['general.parameter_count']),
      quant: textOf(details.quantization_level) ?? '',
      contextLength: Math.min(most, given),
    }
  },
}

const lmStudio: FactsReader = {
  shared: (question) => question('/api/v0/models'),
  async model({ id }, shared) {
    const rows = listOf(shared?.data).map((row) => fieldsOf(row))
    const { type, arch, quantization, capabilities, ...lengths } =
      rows.find((row) => row?.id === id) ?? {}
    // Versions before 0.3.16 do not say, and have all models call.
    const tools = Array.isArray(capabilities) ? capabilities.includes('tool_use') : undefined
    const loaded = countOf(lengths.loaded_context_length)
    return {
      ...nothing,
      kind: type === 'embeddings' ? 'embedding' : 'chat',
      can: { tools, json: true, vision: type === 'vlm' },
      architecture: textOf(arch) ?? '',
      quant: textOf(quantization) ?? '',
      contextLength: loaded || countOf(lengths.max_context_length) || CONTEXT_UNKNOWN,
    }
  },
}

export const readers: Readonly<Record<ServerKind['name'], FactsReader>> = {
  vLLM: plain,
  SGLang: sglang,
  'llama-server': llamaServer,
  Ollama: ollama,
  'LM Studio': lmStudio,
  unknown: plain,
}

const flagOf = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined

/** Parameters and bytes are more than 32 bits hold. */
const countOfLarge = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
