import { type Static, Type } from 'typebox'
import type { KeyRecord, NewKey } from '../accounts/key-record.ts'
import { defaultScopes, isScope, ownerAccount, type Principal } from '../accounts/principal.ts'
import { InvalidError, PeerError } from '../base/errors.ts'
import type { RouteModule } from './route.ts'

/** What these endpoints use of the key store. */
export interface KeyAdmin {
  create(input: NewKey): Promise<{ key: string; record: KeyRecord }>
  list(): KeyRecord[]
}

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

const newKeySchema = Type.Object({
  name: Type.String({ description: 'To recognise the key by.' }),
  account: Type.Optional(nullable(Type.String({ description: "Default: the caller's own." }))),
  scopes: Type.Optional(
    nullable(Type.Array(Type.String(), { description: 'Default: all but keys:manage.' })),
  ),
  expires_at: Type.Optional(nullable(Type.String({ format: 'date-time' }))),
})

const keyFields = {
  id: Type.String(),
  object: Type.Literal('api_key'),
  name: Type.String(),
  prefix: Type.String({ description: 'How the key begins.' }),
  account: Type.String(),
  scopes: Type.Array(Type.String()),
  created_at: Type.String(),
  last_used_at: nullable(Type.String()),
  expires_at: nullable(Type.String()),
  revoked_at: nullable(Type.String()),
}
const keySchema = Type.Object(keyFields)
const createdSchema = Type.Object({
  ...keyFields,
  key: Type.String({ description: 'Shown this once.' }),
})
const listSchema = Type.Object({ object: Type.Literal('list'), data: Type.Array(keySchema) })
const meSchema = Type.Object({ object: Type.Literal('me'), account: Type.String(), key: keySchema })

const manage = { access: 'keys:manage' } as const
const tags = ['keys']

/** `/auth/api-keys` and `/auth/me` of the product surface; mount them at `/api/v1`. */
export function keyRoutes({ keys }: { keys: KeyAdmin }): RouteModule {
  return (app) => {
    app.post<{ Body: Static<typeof newKeySchema> }>(
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
function newKey(body: Static<typeof newKeySchema>, creator: Principal): NewKey {
  const unsupported = Object.keys(body).find(
    (name) => !Object.hasOwn(newKeySchema.properties, name),
  )
  if (unsupported !== undefined) {
    throw new InvalidError(
      unsupported,
      `Keys have no ${unsupported} here, only: ${Object.keys(newKeySchema.properties).join(', ')}.`,
      'unsupported_parameter',
    )
  }
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

function keyJson(record: KeyRecord): Static<typeof keySchema> {
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
