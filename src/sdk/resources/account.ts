import type { Call } from '../client/call.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type PageQuery, type Pages, pagesOf } from '../client/page.ts'
import type { Transport } from '../client/transport.ts'
import type {
  ApiKey,
  ApiKeyWithSecret,
  CreditAudit,
  CreditGrant,
  Credits as CreditsNow,
  CreditTransaction,
  KeyRotation,
  Me,
  NewApiKey,
  PeerBalance,
  RevokedApiKey,
  UsageReport,
} from '../types/account.ts'

const keys = '/api/v1/auth/api-keys'
const credits = '/api/v1/credits'

/** The keys of an account. */
export class Keys {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** The secret is shown this once, as `key`. */
  create(body: NewApiKey, options?: CallOptions): Call<ApiKeyWithSecret> {
    return this.#transport.json({ method: 'POST', path: keys, body }, options)
  }

  list(query: PageQuery = {}, options?: CallOptions): Pages<ApiKey> {
    return pagesOf(query, (cursor) =>
      this.#transport.json<Page<ApiKey>>(
        { method: 'GET', path: keys, query: { ...query, ...cursor } },
        options,
      ),
    )
  }

  /** Another secret with the same id, rights and limits. */
  rotate(id: string, body: KeyRotation = {}, options?: CallOptions): Call<ApiKeyWithSecret> {
    return this.#transport.json({ method: 'POST', path: keys + path`/${id}/rotate`, body }, options)
  }

  /** From now on, and for ever. */
  revoke(id: string, options?: CallOptions): Call<RevokedApiKey> {
    return this.#transport.json({ method: 'DELETE', path: keys + path`/${id}` }, options)
  }

  /** Whose key the client has. */
  me(options?: CallOptions): Call<Me> {
    return this.#transport.json({ method: 'GET', path: '/api/v1/auth/me' }, options)
  }
}

/** Of which account; only the owner's keys with keys:manage see any but their own. */
export interface AccountQuery {
  account?: string | undefined
}

/** Micro-credits: what there is, and where it came from and went. */
export class Credits {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** What this key could spend. */
  get(query: AccountQuery = {}, options?: CallOptions): Call<CreditsNow> {
    return this.#transport.json({ method: 'GET', path: credits, query: { ...query } }, options)
  }

  ledger(query: PageQuery & AccountQuery = {}, options?: CallOptions): Pages<CreditTransaction> {
    return this.#list(`${credits}/ledger`, query, options)
  }

  /** For the owner: gives credits to an account. */
  grant(body: CreditGrant, options?: CallOptions): Call<CreditTransaction> {
    return this.#transport.json({ method: 'POST', path: `${credits}/grants`, body }, options)
  }

  /** For the owner: recomputes every balance. */
  audit(options?: CallOptions): Call<CreditAudit> {
    return this.#transport.json({ method: 'GET', path: `${credits}/audit` }, options)
  }

  /** For the owner: what this peer and others owe each other. */
  owed(query: PageQuery = {}, options?: CallOptions): Pages<PeerBalance> {
    return this.#list(`${credits}/owed`, query, options)
  }

  #list<T>(to: string, query: PageQuery & AccountQuery, options?: CallOptions): Pages<T> {
    return pagesOf(query, (cursor) =>
      this.#transport.json<Page<T>>(
        { method: 'GET', path: to, query: { ...query, ...cursor } },
        options,
      ),
    )
  }
}

export interface UsageQuery extends AccountQuery {
  /** A day (UTC): `2026-11-22`. */
  start_date?: string | undefined
  /** The last day; default: today. */
  end_date?: string | undefined
  /** Instead of a first day: so many days. */
  days?: number | undefined
  /** Of this model alone. */
  model?: string | undefined
}

/** What an account has used: in all, by model, by day and by key. */
export class Usage {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  get(query: UsageQuery = {}, options?: CallOptions): Call<UsageReport> {
    return this.#transport.json({ method: 'GET', path: '/v1/usage', query: { ...query } }, options)
  }
}
