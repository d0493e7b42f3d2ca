import type { Call } from '../client/call.ts'
import type { CallOptions } from '../client/operation.ts'
import type { Transport } from '../client/transport.ts'
import type { NetworkPeers, NetworkSummary, Readiness } from '../types/network.ts'

/** The network as the peer sees it. */
export class Network {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  summary(options?: CallOptions): Call<NetworkSummary> {
    return this.#transport.json({ method: 'GET', path: '/v8/network/summary', open: true }, options)
  }

  peers(options?: CallOptions): Call<NetworkPeers> {
    return this.#transport.json({ method: 'GET', path: '/v8/network/peers', open: true }, options)
  }
}

/** The peer as a program. */
export class Service {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Whether it answers at all. */
  alive(options?: CallOptions): Call<{ status: 'ok' }> {
    return this.#transport.json({ method: 'GET', path: '/healthz', open: true }, options)
  }

  /** Whether it can work, and the state of its models; also where the answer is no. */
  ready(options?: CallOptions): Call<Readiness> {
    return this.#transport.json(
      { method: 'GET', path: '/readyz', open: true, alsoOk: 503 },
      options,
    )
  }

  /** The OpenAPI document of all that it answers. */
  openApi(options?: CallOptions): Call<{ openapi: string; paths: object }> {
    return this.#transport.json(
      { method: 'GET', path: '/api/v1/openapi.json', open: true },
      options,
    )
  }
}
