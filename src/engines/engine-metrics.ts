import type { Counter, Metrics } from '../base/metrics.ts'

export interface EngineMetrics {
  restarts: Counter
  inputTokens: Counter
  outputTokens: Counter
}

/** Counters over all models; each model adds with its name as the label. */
export function engineMetrics(metrics: Metrics): EngineMetrics {
  const counter = (name: string, help: string) =>
    metrics.counter(`pinaivu_engine_${name}_total`, help, ['model'])
  return {
    restarts: counter('restarts', 'Engine processes that ended without being asked to.'),
    inputTokens: counter('input_tokens', 'Tokens of prompts that were read.'),
    outputTokens: counter('output_tokens', 'Tokens of answers that were written.'),
  }
}
