import type { Call } from '../client/call.ts'
import { type CallOptions, path } from '../client/operation.ts'
import type { Transport } from '../client/transport.ts'
import type { CatalogModel, Model } from '../types/models.ts'

/** What can be asked. */
export class Models {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** All of this peer, and of others that it knows. */
  list(options?: CallOptions): Call<{ object: 'list'; data: Model[]; request_id: string }> {
    return this.#transport.json({ method: 'GET', path: '/v1/models' }, options)
  }

  /** By its name, or an alias of it. */
  get(name: string, options?: CallOptions): Call<Model & { request_id: string }> {
    return this.#transport.json({ method: 'GET', path: path`/v1/models/${name}` }, options)
  }

  /** The same models, for whoever has no key yet, with what they can do. */
  catalog(options?: CallOptions): Call<{ object: 'list'; data: CatalogModel[] }> {
    return this.#transport.json({ method: 'GET', path: '/api/v1/models', open: true }, options)
  }
}
