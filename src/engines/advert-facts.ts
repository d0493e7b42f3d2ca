import type { AdvertModel } from '../wire/advert.ts'
import { fitting, shown } from '../wire/rules.ts'
import type { ModelLoad } from '../wire/status.ts'
import type { ModelKind, ModelStatus } from './engine.ts'

/** What each kind of model does here, in the words of an advert. */
const usual: Readonly<Record<ModelKind, readonly string[]>> = {
  chat: ['chat', 'completion', 'logprobs'],
  embedding: ['embedding'],
}

/** What it does; undefined while its kind is not known. */
export function capabilitiesOf({
  capabilities,
  facts,
}: ModelStatus): readonly string[] | undefined {
  return capabilities ?? (facts && usual[facts.kind])
}

/** What a peer says of a model to others. Undefined for one that they could not use or name. */
export function advertModel(status: ModelStatus): Omit<AdvertModel, 'price'> | undefined {
  const { name, id, facts, slots = 1, state } = status
  if (id === undefined || facts === undefined || state === 'failed') return undefined
  return {
    name,
    id,
    kind: facts.kind,
    family: fitting(facts.architecture, shown),
    parameters: facts.parameters,
    quant: fitting(facts.quant, shown),
    contextLength: facts.contextLength,
    embeddingLength: facts.kind === 'embedding' ? facts.embeddingLength : 0,
    capabilities: [...(capabilitiesOf(status) ?? [])],
    slots,
  }
}

/** How busy it is; undefined where `advertModel` is. */
export function modelLoad(status: ModelStatus): ModelLoad | undefined {
  const { id, facts, slots = 1, state, unloaded, running, queued, tokensPerSecond = 0 } = status
  if (id === undefined || facts === undefined || state === 'failed') return undefined
  return {
    id,
    ready: state === 'ready' || unloaded === true,
    slots,
    running,
    queued,
    tokensPerSecond,
  }
}
