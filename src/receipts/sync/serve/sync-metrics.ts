import type { Counter, Gauge, Metrics } from '../../../base/metrics.ts'

export interface SyncMetrics {
  questions: Counter
  sentBytes: Counter
  followed: Gauge
}

export function syncMetrics(metrics: Metrics): SyncMetrics {
  return {
    questions: metrics.counter(
      'pinaivu_sync_questions_total',
      'What other peers asked about logs, by kind.',
      ['question'],
    ),
    sentBytes: metrics.counter(
      'pinaivu_sync_sent_bytes_total',
      'Bytes of logs sent to other peers that asked.',
    ),
    followed: metrics.gauge(
      'pinaivu_sync_followed_logs',
      'Logs of which other peers are told whatever is new, each counted for each of them.',
    ),
  }
}
