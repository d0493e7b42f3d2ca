import { createHash } from 'node:crypto'
import { InvalidError, PeerError } from '../../base/errors.ts'
import type { Engine, ModelFacts, ModelKind, ModelStatus } from '../../engines/engine.ts'

export function unknownModel(name: string): PeerError {
  const message = `The model '${name}' does not exist here. GET /v1/models lists those that do.`
  return new PeerError('model_not_found', message, { param: 'model' })
}

/** The model of this name, as far as it is known already whether it can do this work. */
export function chooseModel(engine: Engine, name: string, kind: ModelKind): ModelStatus {
  const model = engine.resolve(name)
  if (model === undefined) throw unknownModel(name)
  const actual = model.facts?.kind ?? kind
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

/** Changes with whatever makes the same seed draw other tokens. Undefined while nothing is loaded. */
export function fingerprint(engine: Engine, name: string): string | undefined {
  const facts = engine.resolve(name)?.facts
  if (facts === undefined) return undefined
  const known = fingerprints.get(facts)
  if (known !== undefined) return known
  const { architecture, quant, sizeBytes, parameters, vocabularySize } = facts
  const told = [architecture, quant, sizeBytes, parameters, vocabularySize].join('|')
  const made = `fp_${createHash('sha256').update(told).digest('hex').slice(0, 10)}`
  fingerprints.set(facts, made)
  return made
}
