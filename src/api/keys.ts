import type { KeyRecord, NewKey } from '../accounts/key-record.ts'
import { defaultScopes, isScope, ownerAccount, type Principal } from '../accounts/principal.ts'
import { PeerError } from '../base/errors.ts'
import type { RouteModule } from './route.ts'
import {
  array,
  closed,
  type Infer,
  literal,
  nullable,
  object,
  optionalOrNull,
  string,
  unavailable,
} from './schema.ts'

/** What these endpoints use of the key store. */
export interface KeyAdmin {
  create(input: NewKey): Promise<{ key: string; record: KeyRecord }>
  list(): KeyRecord[]
}

const newKeySchema = closed({
  name: string({ description: 'To recognise the key by.' }),
  account: optionalOrNull(string(), { description: "Default: the caller's own." }),
  scopes: optionalOrNull(array(string()), { description: 'Default: all but keys:manage.' }),
  expires_at: optionalOrNull(string({ format: 'date-time' })),
  credit_limit: unavailable('The credits that this key may spend.'),
  rpm_limit: unavailable('Requests a minute.'),
  jurisdiction: unavailable('Only providers in this country may work on its requests.'),
})

const keyFields = {
  id: string(),
  object: literal('api_key'),
  name: string(),
  prefix: string({ description: 'How the key begins.' }),
  account: string(),
  scopes: array(string()),
  created_at: string(),
  last_used_at: nullable(string()),
  expires_at: nullable(string()),
  revoked_at: nullable(string()),
}
const keySchema = object(keyFields)
const createdSchema = object({
  ...keyFields,
  key: string({ description: 'Shown this once.' }),
})
const listSchema = object({ object: literal('list'), data: array(keySchema) })
const meSchema = object({ object: literal('me'), account: string(), key: keySchema })

const manage = { access: 'keys:manage' } as const
const tags = ['keys']

/** `/auth/api-keys` and `/auth/me` of the product surface; mount them at `/api/v1`. */
export function keyRoutes({ keys }: { keys: KeyAdmin }): RouteModule {
  return (app) => {
    app.post<{ Body: Infer<typeof newKeySchema> }>(
      '/auth/api-keys',
      {
        config: manage,
        schema: {
          summary: 'Make an API key',
          tags,
          body: newKeySchema,
          response: { 201: createdSchema },
        },
      },
      async ({ body, principal }, reply) => {
        const { key, record } = await keys.create(newKey(body, principal))
        reply.code(201).header('cache-control', 'no-store')
        return { ...keyJson(record), key }
      },
    )
    app.get(
      '/auth/api-keys',
      { config: manage, schema: { summary: 'List API keys', tags, response: { 200: listSchema } } },
      ({ principal }) => ({
        object: 'list',
        data: keys
          .list()
          .filter(({ account }) => isOwner(principal) || account === principal.account)
          .map(keyJson),
      }),
    )
    app.get(
      '/auth/me',
      {
        config: { access: 'key' },
        schema: { summary: 'Whose key this is', tags, response: { 200: meSchema } },
      },
      ({ principal }) => {
        const record = keys.list().find(({ id }) => id === principal.keyId)
        if (record === undefined) throw new PeerError('key_not_found', 'This key is gone.')
        return { object: 'me', account: principal.account, key: keyJson(record) }
      },
    )
  }
}

const isOwner = ({ account }: Principal): boolean => account === ownerAccount

/** Nobody hands on more than they hold. */
function newKey(body: Infer<typeof newKeySchema>, creator: Principal): NewKey {
  const account = body.account ?? creator.account
  if (account !== creator.account && !isOwner(creator)) {
    throw new PeerError('insufficient_scope', 'Only the owner makes keys for other accounts.', {
      param: 'account',
    })
  }
  const wanted = body.scopes ?? defaultScopes.filter((scope) => creator.scopes.has(scope))
  const beyond = wanted.find((scope) => isScope(scope) && !creator.scopes.has(scope))
  if (beyond !== undefined) {
    throw new PeerError('insufficient_scope', `Your own key lacks the scope ${beyond}.`, {
      param: 'scopes',
    })
  }
  const expiresAt = body.expires_at ?? undefined
  return {
    name: body.name,
    account,
    scopes: wanted,
    ...(expiresAt === undefined ? {} : { expiresAt: Date.parse(expiresAt) }),
  }
}

const isoTime = (ms: number): string => new Date(ms).toISOString()
const isoTimeOrNull = (ms: number | null): string | null => (ms === null ? null : isoTime(ms))

function keyJson(record: KeyRecord): Infer<typeof keySchema> {
  return {
    id: record.id,
    object: 'api_key',
    name: record.name,
    prefix: record.prefix,
    account: record.account,
    scopes: [...record.scopes],
    created_at: isoTime(record.createdAt),
    last_used_at: isoTimeOrNull(record.lastUsedAt),
    expires_at: isoTimeOrNull(record.expiresAt),
    revoked_at: isoTimeOrNull(record.revokedAt),
  }
}
