import { pageSchema } from '../page-of.ts'
import {
  array,
  boolean,
  closed,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  optionalOrNull,
  string,
} from '../schema.ts'

export const creditsSchema = object({
  object: literal('credits'),
  account: string(),
  current_credits: integer({ description: 'What this key could spend if nothing were set aside.' }),
  reserved_credits: integer({ description: 'Set aside for what is at work.' }),
  available_credits: integer(),
})

export const grantSchema = closed({
  account: string({ description: 'Made on first use.', examples: ['alice'] }),
  amount: integer({ minimum: 1, description: 'Micro-credits.', examples: [1_000_000] }),
  expires_at: optionalOrNull(string({ format: 'date-time' }), {
    description: 'What is not spent by then is gone; what expires first is spent first.',
  }),
})

export const transactionSchema = object({
  id: string({ description: 'Numbered in its account.' }),
  object: literal('credit_transaction'),
  account: string(),
  type: oneOf(['grant', 'charge', 'expiry']),
  amount: integer({ description: 'Micro-credits that came, or went where it is below 0.' }),
  balance: integer({ description: 'What was there then.' }),
  created_at: string(),
  expires_at: nullable(string()),
  job_id: nullable(string()),
  request_id: nullable(string()),
  key_id: nullable(string()),
  model: nullable(string()),
  entry_cid: nullable(string(), {
    description: "The entry of this peer's log that says the same.",
  }),
  postings: array(object({ account: string(), amount: integer() }), {
    description: 'Both sides: together they are 0.',
  }),
})

export const ledgerSchema = pageSchema(transactionSchema)

export const auditSchema = object({
  object: literal('credits.audit'),
  ok: boolean(),
  sum: integer({ description: 'Of all balances: 0.' }),
  accounts: integer(),
  entries: integer(),
  charges: object({
    matched: integer({ description: "Found in this peer's log, with the same amount." }),
    without_entry: integer({ description: 'Whose entry is not in the log any more.' }),
    missing: integer({ description: 'Entries of the log that nobody was charged for: 0.' }),
  }),
  balances: object({
    wallets: integer(),
    issued: integer(),
    earned: integer(),
    owed: integer(),
    expired: integer(),
    borne: integer(),
  }),
  problems: array(string()),
})

export const balanceSchema = object({
  id: string({ description: 'Its peer id.' }),
  object: literal('peer_balance'),
  owed_to_peer: integer({ description: 'Micro-credits for all its work for this peer so far.' }),
  owed_by_peer: integer({ description: "For this peer's work for it, by this peer's count." }),
  acknowledged_by_peer: integer({ description: 'Of that, what it said it got.' }),
})

export const owedSchema = pageSchema(balanceSchema)
