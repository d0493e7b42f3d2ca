import { keyJson } from '../accounts/key-json.ts'
import type { KeyRecord, NewKey } from '../accounts/key-record.ts'
import { derivedKey, mayManage, refuseBeyond } from '../accounts/key-rights.ts'
import { keyNotFound, OVERLAP_MS, OVERLAP_MS_MAX } from '../accounts/keys.ts'
import { ownerAccount, type Principal } from '../accounts/principal.ts'
import type { Range } from '../storage/table.ts'
import { type PageQuery, pageFields, pageOf, pageSchema } from './page-of.ts'
import type { RouteModule } from './route.ts'
import {
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  optional,
  optionalOrNull,
  string,
} from './schema.ts'

/** What these endpoints use of the key store. */
export interface KeyAdmin {
  create(input: NewKey): Promise<{ key: string; record: KeyRecord }>
  list(account: string | undefined, range: Range<string>): KeyRecord[]
  get(id: string): KeyRecord
  rotate(id: string, overlapMs: number): Promise<{ key: string; record: KeyRecord }>
  revoke(id: string): Promise<KeyRecord>
}

const limit = (minimum: number, description: string) =>
  optionalOrNull(integer({ minimum, maximum: Number.MAX_SAFE_INTEGER }), { description })

const newKeySchema = closed({
  name: string({ description: 'To recognise the key by.', examples: ['laptop'] }),
  account: optionalOrNull(string(), { description: "Default: the caller's own." }),
  scopes: optionalOrNull(array(string()), { description: 'Default: all but keys:manage.' }),
  expires_at: optionalOrNull(string({ format: 'date-time' })),
  credit_limit: limit(0, 'Micro-credits that this key may spend, in all.'),
  rpm_limit: limit(1, 'Requests a minute; so many may come at once.'),
  tpm_limit: limit(1, 'Tokens a minute, read and written; so many may be used at once.'),
  concurrency_limit: limit(1, 'Requests at a time.'),
  jurisdiction: optionalOrNull(string(), {
    description: 'For requests that name none: ISO 3166 alpha-2, or EU for any of its members.',
  }),
})

const keyFields = {
  id: string(),
  object: literal('api_key'),
  name: string(),
  prefix: string({ description: 'How the key begins.' }),
  account: string(),
  scopes: array(string()),
  credit_limit: nullable(integer()),
  rpm_limit: nullable(integer()),
  tpm_limit: nullable(integer()),
  concurrency_limit: nullable(integer()),
  jurisdiction: nullable(string()),
  created_at: string(),
  last_used_at: nullable(string()),
  expires_at: nullable(string()),
  revoked_at: nullable(string()),
  rotated_at: nullable(string()),
  overlap_ends_at: nullable(
    string({ description: 'Until when a secret works that a rotation replaced.' }),
  ),
}
const keySchema = object(keyFields)
const withSecret = object({
  ...keyFields,
  key: string({ description: 'Shown this once.' }),
})
const deletedSchema = object({ ...keyFields, deleted: boolean() })
const meSchema = object({ object: literal('me'), account: string(), key: keySchema })

const rotationSchema = nullable(
  closed({
    overlap_seconds: optional(
      integer({
        minimum: 0,
        maximum: OVERLAP_MS_MAX / 1000,
        default: OVERLAP_MS / 1000,
        description: 'How long the replaced key goes on to work. 0: it ends at once.',
      }),
    ),
  }),
)

const manage = { access: 'keys:manage' } as const
const makesSecret = { ...manage, idempotent: 'secret' } as const
const tags = ['Keys']
const params = object({ id: string({ description: '`key_…`' }) })

interface OneKey {
  Params: { id: string }
}

/** `/auth/api-keys` and `/auth/me` of the product surface; mount them at `/api/v1`. */
export function keyRoutes({ keys }: { keys: KeyAdmin }): RouteModule {
  return (app) => {
    app.post<{ Body: Infer<typeof newKeySchema> }>(
      '/auth/api-keys',
      {
        config: makesSecret,
        schema: {
          summary: 'Make an API key',
          description:
            'For an account of yours, with no more rights than the key that asks. An account is ' +
            'made by its first key.',
          tags,
          body: newKeySchema,
          response: { 201: withSecret },
          errors: ['invalid_scope', 'invalid_jurisdiction', 'too_many_keys'],
        },
      },
      async ({ body, principal }, reply) => {
        const maker = keys.get(principal.keyId)
        const { key, record } = await keys.create(derivedKey(toNewKey(body), maker))
        reply.code(201).header('cache-control', 'no-store')
        return { ...keyJson(record), key }
      },
    )
    app.get<{ Querystring: PageQuery }>(
      '/auth/api-keys',
      {
        config: manage,
        schema: {
          summary: 'List API keys',
          tags,
          querystring: closed(pageFields),
          response: { 200: pageSchema(keySchema) },
        },
      },
      ({ query, principal }) => {
        const { account } = principal
        const shown = account === ownerAccount ? undefined : account
        return pageOf(query, (range) => keys.list(shown, range), keyJson)
      },
    )
    app.delete<OneKey>(
      '/auth/api-keys/:id',
      {
        config: manage,
        schema: {
          summary: 'Revoke an API key, from now on and for ever',
          tags,
          params,
          response: { 200: deletedSchema },
          errors: ['key_not_found', 'owner_key_needed'],
        },
      },
      async ({ params, principal }) => {
        const { id } = managed(keys, params.id, principal)
        return { ...keyJson(await keys.revoke(id)), deleted: true }
      },
    )
    rotation(app, keys)
    ownKey(app, keys)
  }
}

function ownKey(app: Parameters<RouteModule>[0], keys: KeyAdmin): void {
  app.get(
    '/auth/me',
    {
      config: { access: 'key' },
      schema: { summary: 'Whose key this is', tags, response: { 200: meSchema } },
    },
    ({ principal }) => ({
      object: 'me',
      account: principal.account,
      key: keyJson(keys.get(principal.keyId)),
    }),
  )
}

function rotation(app: Parameters<RouteModule>[0], keys: KeyAdmin): void {
  app.post<OneKey & { Body: Infer<typeof rotationSchema> }>(
    '/auth/api-keys/:id/rotate',
    {
      config: makesSecret,
      schema: {
        summary: 'Replace an API key by another with the same id, rights and limits',
        tags,
        params,
        body: rotationSchema,
        response: { 200: withSecret },
        errors: ['key_not_found', 'owner_key_needed', 'key_not_usable', 'too_many_keys'],
      },
    },
    async ({ params, body, principal }, reply) => {
      const record = managed(keys, params.id, principal)
      refuseBeyond(record, keys.get(principal.keyId))
      const seconds = body?.overlap_seconds ?? OVERLAP_MS / 1000
      const { key, record: rotated } = await keys.rotate(record.id, seconds * 1000)
      reply.header('cache-control', 'no-store')
      return { ...keyJson(rotated), key }
    },
  )
}

/** What is not the caller's to manage is not there. */
function managed(keys: KeyAdmin, id: string, principal: Principal): KeyRecord {
  const record = keys.get(id)
  if (mayManage(principal, record.account)) return record
  throw keyNotFound()
}

function toNewKey(body: Infer<typeof newKeySchema>): NewKey {
  const { expires_at: expiresAt } = body
  return {
    name: body.name,
    ...(body.account != null && { account: body.account }),
    ...(body.scopes != null && { scopes: body.scopes }),
    expiresAt: expiresAt == null ? null : Date.parse(expiresAt),
    creditLimit: body.credit_limit ?? null,
    rpmLimit: body.rpm_limit ?? null,
    tpmLimit: body.tpm_limit ?? null,
    concurrencyLimit: body.concurrency_limit ?? null,
    jurisdiction: body.jurisdiction ?? null,
  }
}
