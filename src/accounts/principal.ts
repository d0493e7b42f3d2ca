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
}

/** What a new key may do unless said otherwise: everything but making more keys. */
export const defaultScopes: readonly Scope[] = scopes.filter((scope) => scope !== 'keys:manage')

/** The account of whoever runs this peer. Other accounts are named by the owner, on first use. */
export const ownerAccount = 'owner'

export const isScope = (value: unknown): value is Scope =>
  (scopes as readonly unknown[]).includes(value)
