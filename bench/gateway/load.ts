/** The load generator, a process of its own: one run of autocannon for each message from the bench. */
import autocannon from 'autocannon'
import type { LoadOptions, LoadResult } from './contest.ts'

process.on('message', async (options: LoadOptions) => process.send?.(await load(options)))
process.once('disconnect', () => process.exit())
process.send?.('ready')

/** autocannon itself counts in whole milliseconds, which is coarser than what is measured here. */
async function load({ url, connections, seconds, body, key }: LoadOptions): Promise<LoadResult> {
  const times: number[] = []
  const startedAt = performance.now()
  const run = autocannon({
    url,
    connections,
    duration: seconds,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body,
  })
  let lastAt = startedAt
  run.on('response', (_client, _status, _bytes, ms) => {
    times.push(ms)
    lastAt = performance.now()
  })
  const { errors, timeouts, non2xx } = await run
  const failed = errors + timeouts + non2xx
  times.sort((a, b) => a - b)
  const at = (part: number) => times[Math.floor(times.length * part)] ?? Number.NaN
  return {
    requests: times.length,
    failed,
    requestsPerSecond: times.length / ((lastAt - startedAt) / 1000),
    p50: at(0.5),
    p99: at(0.99),
  }
}
