import { createHash } from 'node:crypto'
import { InvalidError } from '../../base/errors.ts'
import type { ModelFacts, ModelKind } from '../../engines/engine.ts'
import type { Market, MarketModel } from '../../market/market.ts'

/** The model of this name, as far as it is known already whether it can do this work. */
export async function chooseModel(
  market: Market,
  name: string,
  kind: ModelKind,
  signal: AbortSignal,
): Promise<MarketModel> {
  const model = market.resolve(name) ?? (await market.find(name, { signal }))
  const actual = model.kind ?? kind
  if (actual !== kind) {
    const message =
      actual === 'embedding'
        ? `The model '${name}' makes embeddings; ask it at /v1/embeddings.`
        : `The model '${name}' makes text, not embeddings; ask it at /v1/chat/completions.`
    throw new InvalidError('model', message, 'model_not_supported')
  }
  return model
}

const fingerprints = new WeakMap<ModelFacts, string>()

/**
 * Changes with whatever makes the same seed draw other tokens: told by the facts of a model of this
 * machine, by the id of another's. Undefined while neither is known.
 */
export function fingerprint(
  facts: ModelFacts | undefined,
  id: string | undefined,
): string | undefined {
  if (facts === undefined) return id === undefined ? undefined : digested(id)
  const known = fingerprints.get(facts)
  if (known !== undefined) return known
  const { architecture, quant, sizeBytes, parameters, vocabularySize } = facts
  const made = digested([architecture, quant, sizeBytes, parameters, vocabularySize].join('|'))
  fingerprints.set(facts, made)
  return made
}

const digested = (told: string): string =>
  `fp_${createHash('sha256').update(told).digest('hex').slice(0, 10)}`
