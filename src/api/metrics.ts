import * as prom from 'prom-client'
import type { Counter, Gauge, Histogram, Metrics } from '../base/metrics.ts'

/** Everything the rooms count, as Prometheus text. Its own registry: two peers can share a process. */
export class PromMetrics implements Metrics {
  readonly #registry = new prom.Registry()

  constructor() {
    // The default of 10 ms wakes an idle process a hundred times a second.
    prom.collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 100 })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const counter = new prom.Counter({ name, help, ...this.#common(labels) })
    return { add: (amount = 1, values = {}) => counter.inc(values, amount) }
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    const gauge = new prom.Gauge({ name, help, ...this.#common(labels) })
    return { set: (value, values = {}) => gauge.set(values, value) }
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: readonly string[] = [],
  ): Histogram {
    const histogram = new prom.Histogram({
      name,
      help,
      buckets: [...buckets],
      ...this.#common(labels),
    })
    return { observe: (value, values = {}) => histogram.observe(values, value) }
  }

  #common(labels: readonly string[]) {
    return { labelNames: [...labels], registers: [this.#registry] }
  }
}
