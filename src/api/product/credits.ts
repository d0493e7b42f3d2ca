import { type AuditedLog, type AuditReport, audit } from '../../accounts/ledger/audit.ts'
import type { Ledger } from '../../accounts/ledger/ledger.ts'
import type { LedgerEntry } from '../../accounts/ledger/ledger-rows.ts'
import type { Principal } from '../../accounts/principal.ts'
import { BusyError } from '../../base/errors.ts'
import { owedBetween, type PeerBalance } from '../../market/owed-list.ts'
import type { Store } from '../../storage/store.ts'
import { clientSignal } from '../client-signal.ts'
import { type PageQuery, pageFields, pageOf } from '../page-of.ts'
import type { RouteModule } from '../route.ts'
import { closed, type Infer } from '../schema.ts'
import { type AccountQuery, accountField, accountOf, checkManager } from '../whose.ts'
import {
  auditSchema,
  type balanceSchema,
  creditsSchema,
  grantSchema,
  ledgerSchema,
  owedSchema,
  transactionSchema,
} from './credits-schema.ts'

export interface CreditComponents {
  till: { ledger: Ledger }
  store: Pick<Store, 'table'>
  log: AuditedLog
}

const tags = ['Credits']
const read = { access: 'credits:read' } as const
const manage = { access: 'keys:manage' } as const

/** `/credits` of the product surface, and what the owner alone sees of all; mount them at `/api/v1`. */
export function creditRoutes(components: CreditComponents): RouteModule {
  return (app) => {
    accountRoutes(components)(app)
    ownerRoutes(components)(app)
  }
}

function accountRoutes({ till: { ledger } }: CreditComponents): RouteModule {
  return (app) => {
    app.get<{ Querystring: AccountQuery }>(
      '/credits',
      {
        config: read,
        schema: {
          summary: 'The credits that this key could spend',
          tags,
          querystring: closed(accountField),
          response: { 200: creditsSchema },
        },
      },
      ({ query, principal }): Infer<typeof creditsSchema> => {
        const account = accountOf(query, principal)
        const { current, reserved, available } = ledger.credits(payerOf(account, principal))
        return {
          object: 'credits',
          account,
          current_credits: current,
          reserved_credits: reserved,
          available_credits: available,
        }
      },
    )
    app.get<{ Querystring: PageQuery & AccountQuery }>(
      '/credits/ledger',
      {
        config: read,
        schema: {
          summary: 'What the credits of an account came from, and went to',
          tags,
          querystring: closed({ ...pageFields, ...accountField }),
          response: { 200: ledgerSchema },
        },
      },
      ({ query, principal }) => {
        const account = accountOf(query, principal)
        return pageOf(query, (range) => ledger.entries(account, range), transactionJson)
      },
    )
  }
}

function ownerRoutes({ till: { ledger }, store, log }: CreditComponents): RouteModule {
  let isAuditing = false
  return (app) => {
    app.post<{ Body: Infer<typeof grantSchema> }>(
      '/credits/grants',
      {
        config: { ...manage, idempotent: 'creation' },
        schema: {
          summary: 'Grant credits to an account',
          tags,
          body: grantSchema,
          response: { 201: transactionSchema },
          errors: ['too_many_credits'],
        },
      },
      async ({ body, principal }, reply) => {
        checkManager(principal)
        const { account, amount, expires_at: expires } = body
        const expiresAt = expires == null ? undefined : Date.parse(expires)
        const entry = await ledger.grant({ account, amount, expiresAt })
        reply.code(201)
        return transactionJson(entry)
      },
    )
    app.get(
      '/credits/audit',
      {
        config: manage,
        schema: {
          summary: 'Recompute every balance',
          description:
            "From the ledger's entries, each charge held against this peer's log, and the log against the charges.",
          tags,
          response: { 200: auditSchema },
          errors: ['overloaded'],
        },
      },
      async ({ principal }, reply): Promise<Infer<typeof auditSchema>> => {
        checkManager(principal)
        if (isAuditing) throw new BusyError('An audit is under way. Ask again when it has ended.')
        isAuditing = true
        try {
          const { tables } = ledger
          return auditJson(await audit({ tables, log }, { signal: clientSignal(reply) }))
        } finally {
          isAuditing = false
        }
      },
    )
    app.get<{ Querystring: PageQuery }>(
      '/credits/owed',
      {
        config: manage,
        schema: {
          summary: 'What this peer and others owe each other for work',
          tags,
          querystring: closed(pageFields),
          response: { 200: owedSchema },
        },
      },
      ({ query, principal }) => {
        checkManager(principal)
        return pageOf(query, (range) => owedBetween(store, range), balanceJson)
      },
    )
  }
}

/** Of another account, a key's own limit says nothing. */
function payerOf(account: string, { account: own, keyId, creditLimit }: Principal) {
  if (account !== own) return { account }
  return { account, keyId, ...(creditLimit === undefined ? {} : { creditLimit }) }
}

const isoTime = (ms: number): string => new Date(ms).toISOString()

function transactionJson(entry: LedgerEntry): Infer<typeof transactionSchema> {
  const { expiresAt } = entry
  return {
    id: entry.id,
    object: 'credit_transaction',
    account: entry.account,
    type: entry.kind,
    amount: entry.amount,
    balance: entry.balance,
    created_at: isoTime(entry.at),
    expires_at: expiresAt === undefined ? null : isoTime(expiresAt),
    job_id: entry.jobId ?? null,
    request_id: entry.requestId ?? null,
    key_id: entry.keyId ?? null,
    model: entry.model ?? null,
    entry_cid: entry.routing ?? null,
    postings: entry.postings.map(([account, amount]) => ({ account, amount })),
  }
}

function auditJson({ problems, charges, totals, ...rest }: AuditReport): Infer<typeof auditSchema> {
  return {
    object: 'credits.audit',
    ok: problems.length === 0,
    sum: rest.sum,
    accounts: rest.accounts,
    entries: rest.entries,
    charges: {
      matched: charges.matched,
      without_entry: charges.withoutEntry,
      missing: charges.missing,
    },
    balances: { wallets: rest.held, ...totals },
    problems,
  }
}

const balanceJson = ({ peerId, owed, due }: PeerBalance): Infer<typeof balanceSchema> => ({
  id: peerId,
  object: 'peer_balance',
  owed_to_peer: owed,
  owed_by_peer: due.worked,
  acknowledged_by_peer: due.acknowledged,
})
