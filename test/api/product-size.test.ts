import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FileLinks } from '../../src/accounts/files/file-links.ts'
import { type FileRecord, fileOwners, fileRows } from '../../src/accounts/files/file-record.ts'
import { FileStore } from '../../src/accounts/files/file-store.ts'
import { ownKey } from '../../src/accounts/own-rows.ts'
import { scopes } from '../../src/accounts/principal.ts'
import { SessionStore } from '../../src/accounts/sessions/session-store.ts'
import { productRoutes } from '../../src/api/product/product.ts'
import { mounted } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { newId } from '../../src/base/ids.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { openStore } from '../../src/storage/store.ts'
import { rounds } from '../campaign.ts'
import { tempDir } from '../storage/temp-dir.ts'
import { startServer } from './harness.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { ScriptedMarket } from './scripted-market.ts'

// Lists and look-ups of an account with much in it, beside others with as much, on a real disk.

const FILES = rounds(300, 10_000)
const SESSIONS = rounds(60, 1_000)
const ASKED = rounds(30, 100)
/** The quietest of so many counts: on a machine that does other things too, the others measure those. */
const WINDOWS = rounds(1, 8)
/** At the 99th percentile, of one request over HTTP. */
const P99_MS_MAX = rounds(10_000, 20)
const accounts = ['ann', 'bob']

async function stage() {
  const dir = await tempDir()
  const store = await openStore(dir, { logger: silentLogger })
  onTestFinished(() => store.close())
  const parts = { store, clock: systemClock, random: systemRandom, logger: silentLogger }
  const files = await FileStore.open(`${dir}/files`, parts)
  const sessions = new SessionStore(parts)
  const ids = { files: [] as string[], sessions: [] as string[] }
  for (const account of accounts) {
    ids.files = await fillFiles(account, store)
    ids.sessions = await fillSessions(account, sessions)
  }
  const links = new FileLinks({ secret: randomBytes(32), clock: systemClock })
  const market = new ScriptedMarket(new ScriptedEngine())
  const random = seededRandom(1)
  const till = { ledger: { chargeOf: async () => undefined } }
  const components = { ...parts, market, random, sessions, files: { files, links }, till }
  const keys = {
    verify: (key: string) => ({ keyId: key, account: 'bob', scopes: new Set(scopes) }),
  }
  const { url } = await startServer([mounted(productRoutes(components), '/api/v1')], { keys })
  const get = async (path: string) => {
    const response = await fetch(`${url}/api/v1${path}`, { headers: { 'x-api-key': 'k' } })
    return (await response.json()) as { id?: string; data: { id: string }[]; last_id: string }
  }
  return { ids, get }
}

type Store = Awaited<ReturnType<typeof openStore>>

async function fillFiles(account: string, store: Store): Promise<string[]> {
  const [files, owners] = [store.table('files', fileRows), store.table('files-owners', fileOwners)]
  const ids: string[] = []
  for (let n = 0; n < FILES; n++) {
    const id = newId('file', systemClock, systemRandom)
    const record: FileRecord = {
      ...{ id, account, kind: 'image', model: null, filename: `${n}.png`, mimeType: 'image/png' },
      ...{ bytes: n, sha256: randomBytes(32).toString('hex'), durationMs: null },
      ...{ createdAt: Date.now(), clientRequestId: null },
    }
    await store.write(
      store.batch().put(files, ownKey(account, id), record).put(owners, id, account),
    )
    ids.push(id)
  }
  return ids
}

async function fillSessions(account: string, sessions: SessionStore): Promise<string[]> {
  const ids: string[] = []
  const one = async (n: number) => {
    const turn = await sessions.begin({
      ...{ account, sessionId: undefined, model: 'test-chat', message: `Question ${n}` },
      ...{ instructions: undefined, clientRequestId: undefined },
    })
    const said = { content: 'x'.repeat(1000), inputTokens: 1, outputTokens: 1, promptBytes: 1 }
    await turn.save({ ...said, status: 'completed' })
    turn.leave()
    ids.push(turn.session.id)
  }
  for (let n = 0; n < SESSIONS; n += 50) {
    await Promise.all(Array.from({ length: Math.min(50, SESSIONS - n) }, (_, at) => one(n + at)))
  }
  return ids
}

/** Milliseconds that 99 of 100 took at most. */
async function p99(ask: () => Promise<void>): Promise<number> {
  const windows: number[] = []
  while (windows.length < WINDOWS) {
    const times: number[] = []
    while (times.length < ASKED) {
      const began = performance.now()
      await ask()
      times.push(performance.now() - began)
    }
    windows.push(times.toSorted((a, b) => a - b)[Math.ceil(ASKED * 0.99) - 1] ?? 0)
  }
  return Math.round(10 * Math.min(...windows)) / 10
}

describe('an account with much in it', () => {
  it(`${FILES} files and ${SESSIONS} sessions are listed and looked up in time`, async () => {
    const { ids, get } = await stage()
    const found: Record<string, number> = {}
    for (const [name, path] of [
      ['files', '/files'],
      ['sessions', '/chat/sessions'],
    ] as const) {
      const own = ids[name]
      const random = seededRandom(3)
      found[`${name}: look-up`] = await p99(async () => {
        const id = own[random.below(own.length)] as string
        expect((await get(`${path}/${id}`)).id).toBe(id)
      })
      found[`${name}: first page`] = await p99(async () => {
        expect((await get(`${path}?limit=100`)).data).toHaveLength(Math.min(100, own.length))
      })
      let after = ''
      const seen = new Set<string>()
      found[`${name}: next pages`] = await p99(async () => {
        const { data, last_id: last } = await get(`${path}?limit=100${after}`)
        for (const { id } of data) seen.add(id)
        // Behind the last one it begins again.
        after = last === null ? '' : `&after=${last}`
      })
      expect([...seen].sort()).toEqual(own.toSorted())
    }
    process.stdout.write(`p99 in ms: ${JSON.stringify(found)}\n`)
    for (const ms of Object.values(found)) expect(ms).toBeLessThan(P99_MS_MAX)
  })
})
