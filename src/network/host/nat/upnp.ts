import { isPrivate } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../../base/clock.ts'
import { within } from '../../../base/deadline.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import type { Random } from '../../../base/random.ts'
import { upnpLimits as limits } from './nat-limits.ts'
import { Router, RouterError } from './upnp-router.ts'
import type { findRouters } from './upnp-search.ts'

/** Of an UPnP error: another has that port. */
const CONFLICT = 718
/** The router forwards for good or not at all. */
const NO_LEASES = 725

/** A way in that a router has opened. */
export interface OpenPort {
  innerHost: string
  innerPort: number
  outerHost: string
  outerPort: number
}

export interface UpnpComponents {
  clock: Clock
  random: Random
  logger: Logger
  find: typeof findRouters
  /** Where this peer listens, on its local networks. */
  inner(): readonly { host: string; port: number }[]
  /** Called with the way in when there is another, or none any more. */
  onPort(open: OpenPort | undefined): void
}

/** Has the router forward the port that this peer listens on, for as long as it runs. */
export class Upnp {
  readonly #components: UpnpComponents
  #router: Router | undefined
  #open: OpenPort | undefined
  #leaseS = limits.leaseMs / 1000

  constructor(components: UpnpComponents) {
    this.#components = components
  }

  /** One round; resolves to the milliseconds until the next. */
  async look(signal: AbortSignal): Promise<number> {
    const { logger } = this.#components
    try {
      this.#router ??= await this.#find(signal)
      if (this.#router === undefined) return limits.searchEveryMs
      await this.#renew(this.#router, signal)
      return limits.leaseMs / 2
    } catch (error) {
      if (!signal.aborted) logger.debug('the router opens no port', { error: messageOf(error) })
      this.#router = undefined
      this.#set(undefined)
      return limits.searchEveryMs
    }
  }

  /** The way in is closed again, so that it does not lead to whoever has this address next. */
  async close(): Promise<void> {
    const { clock, logger } = this.#components
    const [router, open] = [this.#router, this.#open]
    if (router === undefined || open === undefined) return
    const { signal } = new AbortController()
    const limit = { ms: limits.closeMs, what: 'Closing the port of the router', signal }
    try {
      await within(clock, limit, (signal) => router.unforward(open.outerPort, signal))
    } catch (error) {
      logger.debug('the router keeps the port open', { error: messageOf(error) })
    }
  }

  async #find(signal: AbortSignal): Promise<Router | undefined> {
    const { inner, find, clock } = this.#components
    for (const { host } of inner()) {
      for (const hint of await find(host, { clock, signal })) {
        const router = await Router.at(hint, signal).catch(() => undefined)
        if (router !== undefined) return router
      }
    }
    return undefined
  }

  async #renew(router: Router, signal: AbortSignal): Promise<void> {
    const { inner, logger } = this.#components
    const innerHost = router.ownAddress
    const innerPort = inner().find(({ host }) => host === innerHost)?.port
    if (innerPort === undefined) throw new Error('This peer does not listen there any more.')
    const outerHost = await router.outerAddress(signal)
    if (isPrivate(multiaddr(`/ip4/${outerHost}/tcp/1`))) {
      throw new Error(`The router is behind another one: it has ${outerHost}.`)
    }
    const outerPort = await this.#forward(router, innerPort, signal)
    const { outerHost: hostBefore, outerPort: portBefore } = this.#open ?? {}
    if (hostBefore === outerHost && portBefore === outerPort) return
    logger.info('the router has opened a port', { outerHost, outerPort })
    this.#set({ innerHost, innerPort, outerHost, outerPort })
  }

  /** The same port outside as inside if nobody has it, and the one of the last time after that. */
  async #forward(router: Router, innerPort: number, signal: AbortSignal): Promise<number> {
    let outerPort = this.#open?.outerPort ?? innerPort
    for (let tries = 1; ; tries++) {
      try {
        await router.forward({ outerPort, innerPort, leaseS: this.#leaseS }, signal)
        return outerPort
      } catch (error) {
        const code = error instanceof RouterError ? error.upnpCode : undefined
        if (tries === limits.tries || (code !== CONFLICT && code !== NO_LEASES)) throw error
        if (code === NO_LEASES) this.#leaseS = 0
        else outerPort = 20_000 + this.#components.random.below(40_000)
      }
    }
  }

  #set(open: OpenPort | undefined): void {
    if (open === undefined && this.#open === undefined) return
    this.#open = open
    this.#components.onPort(open)
  }
}
