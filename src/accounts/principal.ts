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
