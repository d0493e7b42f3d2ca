/** Resolves when woken; rejects with the signal's reason. */
export function waiting(signal: AbortSignal, sleep: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    sleep(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
  })
}
