export const scopes = [
  'models:read',
  'inference',
  'usage:read',
  'credits:read',
  'receipts:read',
  'chat:read',
  'chat:create',
  'generations:read',
  'generations:create',
  'files:read',
  'files:create',
  'webhooks:manage',
  'knowledge:read',
  'knowledge:create',
  'keys:manage',
] as const

export type Scope = (typeof scopes)[number]

/** Who asks, after the key was checked. */
export interface Principal {
  keyId: string
  account: string
  scopes: ReadonlySet<Scope>
  /** Of this key; absent where it has none. */
  limits?: Limits
  /** Micro-credits that this key may spend, in all. */
  creditLimit?: number
  /** For requests that name none. */
  jurisdiction?: string
}

/** How much of this peer a key may use; an absent member is no limit. */
export interface Limits {
  requestsPerMinute?: number
  /** Read and written. */
  tokensPerMinute?: number
  /** Requests at a time. */
  concurrency?: number
}

/** What a new key may do unless said otherwise: everything but making more keys. */
export const defaultScopes: readonly Scope[] = scopes.filter((scope) => scope !== 'keys:manage')

/** The account of whoever runs this peer. Other accounts are named by the owner, on first use. */
export const ownerAccount = 'owner'

export const isScope = (value: unknown): value is Scope =>
  (scopes as readonly unknown[]).includes(value)
