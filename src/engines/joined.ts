import type { Service } from '../base/lifecycle.ts'
import type { Engine } from './engine.ts'

/** Two engines as one: what the first does not have, the second is asked for. */
export function joined(first: Engine & Service, second: Engine & Service): Engine & Service {
  return {
    status: () => [...first.status(), ...second.status()],
    resolve: (name) => first.resolve(name) ?? second.resolve(name),
    generate: (job, options) => {
      const engine = first.resolve(job.model) === undefined ? second : first
      return engine.generate(job, options)
    },
    // It alone computes on this machine.
    hardware: () => first.hardware(),
    onChange: (listener) => both(first.onChange(listener), second.onChange(listener)),
    onLoad: (listener) => both(first.onLoad(listener), second.onLoad(listener)),
    async start(options) {
      await first.start(options)
      await second.start(options)
    },
    async stop() {
      await Promise.all([first.stop(), second.stop()])
    },
  }
}

const both = (one: () => void, other: () => void) => () => {
  one()
  other()
}
