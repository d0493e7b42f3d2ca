/** A part that owns something running. `start` assumes only that lower parts have started. */
export interface Service {
  start(options: { signal: AbortSignal }): Promise<void>
  /** Ends what `start` began and waits for it. Safe to call twice, and after a failed start. */
  stop(): Promise<void>
}

/** Starts in order; when one fails, stops those before it in reverse and rethrows. */
export async function startAll(services: readonly Service[], signal: AbortSignal): Promise<void> {
  const started: Service[] = []
  try {
    for (const service of services) {
      signal.throwIfAborted()
      started.push(service)
      await service.start({ signal })
    }
  } catch (error) {
    await stopAll(started)
    throw error
  }
}

/** Stops in reverse order. One part's failure does not keep the others running. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const failures: unknown[] = []
  for (const service of services.toReversed()) {
    try {
      await service.stop()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'some parts did not stop cleanly')
}
