import { autoNAT } from '@libp2p/autonat'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { facade } from './facade.ts'
import { natLimits as limits } from './nat-limits.ts'

type Components = Parameters<ReturnType<typeof autoNAT>>[0]

/** What libp2p's class has as public or plain, and its exported type has not. */
export interface AutoNatService {
  verifyExternalAddresses(connection: Connection): Promise<void>
  dialResults: Map<string, { success: number; failure: number }>
}

/** AutoNAT: peers ask each other to dial them. */
export class AutoNat {
  readonly #inside: AutoNatService

  constructor(inside: AutoNatService) {
    this.#inside = inside
  }

  /** Asks that peer to dial an address of this one that nobody came in by yet, if there is one. */
  async ask(connection: Connection): Promise<void> {
    await this.#inside.verifyExternalAddresses(connection)
  }

  /** Whether it was tried in vain alone. */
  refused(address: Multiaddr): boolean {
    const results = this.#inside.dialResults.get(address.toString())
    return results !== undefined && results.failure > 0 && results.success === 0
  }

  /** Peers that have tried are asked again. */
  forget(): void {
    this.#inside.dialResults.clear()
  }
}

/**
 * libp2p's own takes the connection over which it was asked for one that it has dialled, and ends it;
 * and it walks through the whole DHT to find peers to ask.
 */
export function autoNat(protocolPrefix: string): (components: Components) => AutoNatService {
  const make = autoNAT({ protocolPrefix, timeout: limits.dialBackMs })
  return (components) => {
    const { connectionManager, randomWalk } = components
    return make(
      facade<Components>(components, {
        connectionManager: facade(connectionManager, {
          openConnection: (where, options) =>
            connectionManager.openConnection(where, { ...options, force: true }),
        }),
        randomWalk: facade(randomWalk, { walk: nobody }),
      }),
    ) as AutoNatService
  }
}

async function* nobody(): AsyncGenerator<never> {}
