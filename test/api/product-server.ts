import { onTestFinished } from 'vitest'
import type { AccountEvent } from '../../src/accounts/events.ts'
import type { LedgerEntry } from '../../src/accounts/ledger/ledger-rows.ts'
import { scopes } from '../../src/accounts/principal.ts'
import {
  SessionStore,
  type SessionStoreOptions,
} from '../../src/accounts/sessions/session-store.ts'
import { defaultGeneration } from '../../src/api/openai/generation.ts'
import { openApiRoutes } from '../../src/api/openapi.ts'
import { productRoutes } from '../../src/api/product/product.ts'
import { mounted } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { PeerError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { StubBackend } from '../storage/stub-backend.ts'
import { startServer } from './harness.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { ScriptedMarket } from './scripted-market.ts'

function verify(secret: string) {
  const account = secret.replace(/^sk-/, '')
  if (secret === 'sk-looker') {
    return { keyId: secret, account: 'ann', scopes: new Set(['chat:read'] as const) }
  }
  if (!['ann', 'bob'].includes(account)) throw new PeerError('invalid_api_key', 'Unknown key.')
  return { keyId: secret, account, scopes: new Set(scopes) }
}

/** What any job was charged. */
const charge: LedgerEntry = {
  ...{ id: 'txn_1', account: 'ann', kind: 'charge', at: 0, balance: 0, postings: [] },
  ...{ amount: -10, reserved: 30 },
}

/** Models, chat and sessions on a real server, with a scripted engine behind them. */
export async function startProductServer(options: Partial<SessionStoreOptions> = {}) {
  const backend = new StubBackend()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const engine = new ScriptedEngine()
  const market = new ScriptedMarket(engine)
  const events: AccountEvent[] = []
  const sessions = new SessionStore({ store, clock: systemClock, random: systemRandom }, options)
  const routes = productRoutes(
    {
      ...{ market, sessions, clock: systemClock, logger: silentLogger, files: undefined },
      random: seededRandom(7),
      emit: (event) => events.push(event),
      till: { ledger: { chargeOf: async (jobId) => ({ ...charge, jobId }) } },
    },
    defaultGeneration,
  )
  const server = await startServer(
    [mounted(routes, '/api/v1'), openApiRoutes({ version: '0.0.0' })],
    { keys: { verify } },
  )
  onTestFinished(() => backend.release())
  const url = `${server.url}/api/v1`
  const headers = (key: string) => ({
    authorization: `Bearer sk-${key}`,
    'content-type': 'application/json',
  })
  return {
    ...{ ...server, url, engine, market, events, sessions, backend, store },
    call: (method: string, path: string, body?: unknown, key = 'ann', signal?: AbortSignal) =>
      fetch(`${url}${path}`, {
        method,
        headers: headers(key),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      }),
  }
}

export interface SseEvent {
  event: string | undefined
  data: unknown
}

/** The events of a stream, `[DONE]` as its text; comments left out. */
export function eventsOf(text: string): SseEvent[] {
  return text
    .split('\n\n')
    .filter((frame) => frame !== '' && !frame.startsWith(':'))
    .map((frame) => {
      const event = /^event: (.*)$/m.exec(frame)?.[1]
      const data = /^data: (.*)$/m.exec(frame)?.[1] ?? ''
      return { event, data: data === '[DONE]' ? data : JSON.parse(data) }
    })
}
