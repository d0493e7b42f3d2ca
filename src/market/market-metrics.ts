import type { Counter, Histogram, Metrics } from '../base/metrics.ts'

export interface MarketMetrics {
  attempts: Counter
  firstToken: Histogram
  resumed: Counter
  tokens: Counter
}

/** From a model that is loaded and near, to one that has a long prompt to read. */
const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]

/** `where`: local or remote. */
export function marketMetrics(metrics: Metrics): MarketMetrics {
  return {
    attempts: metrics.counter(
      'pinaivu_market_attempts_total',
      'Jobs that were given to a provider, this peer included, by how they ended.',
      ['where', 'outcome'],
    ),
    firstToken: metrics.histogram(
      'pinaivu_market_first_token_seconds',
      'From a request to the first token of its answer.',
      SECONDS,
      ['where'],
    ),
    resumed: metrics.counter(
      'pinaivu_market_resumed_total',
      'Answers that a provider went on with, the one before being lost.',
      ['where'],
    ),
    tokens: metrics.counter(
      'pinaivu_market_output_tokens_total',
      'Tokens of answers that were passed on to clients.',
      ['where'],
    ),
  }
}
