import type { Counter, Gauge, Metrics } from '../../base/metrics.ts'

export interface ServeMetrics {
  jobs: Counter
  outputTokens: Counter
  open: Gauge
}

export function serveMetrics(metrics: Metrics): ServeMetrics {
  return {
    jobs: metrics.counter(
      'pinaivu_serve_jobs_total',
      'Jobs that other peers sent, by how they ended.',
      ['outcome'],
    ),
    outputTokens: metrics.counter(
      'pinaivu_serve_output_tokens_total',
      'Tokens written for other peers that count.',
    ),
    open: metrics.gauge('pinaivu_serve_open_jobs', 'Jobs of other peers that are open.'),
  }
}
