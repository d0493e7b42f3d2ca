import { lookup, Resolver } from 'node:dns/promises'
import type { Address, Resolve } from './public-url.ts'

/** A name server that says nothing for so long says nothing at all. */
const QUESTION_MS = 2_000
const TRIES = 2

/**
 * Asks the name servers; those of the system, unless others are given. Not `lookup`, which has the
 * system ask: that takes one of the few threads that the database needs too, and a name whose
 * server never answers would keep it.
 */
export const askServers =
  (servers?: readonly string[]): Resolve =>
  async (name, signal) => {
    const resolver = new Resolver({ timeout: QUESTION_MS, tries: TRIES })
    if (servers !== undefined) resolver.setServers(servers)
    const onAbort = () => resolver.cancel()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
      signal.throwIfAborted()
      const found = [...addresses(v4, 4), ...addresses(v6, 6)]
      if (found.length === 0) throw v4.status === 'rejected' ? v4.reason : new Error('no address')
      return found
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

const addresses = (asked: PromiseSettledResult<string[]>, family: 4 | 6): Address[] =>
  asked.status === 'fulfilled' ? asked.value.map((address) => ({ address, family })) : []

/** As the system does, `localhost` and its hosts file included: for development. */
export const resolveAny: Resolve = async (name, signal) => {
  const found = await lookup(name, { all: true })
  signal.throwIfAborted()
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}
