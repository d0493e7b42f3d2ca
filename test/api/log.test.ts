import { hexToBytes } from '@noble/hashes/utils.js'
import { describe, expect, it } from 'vitest'
import { type LogComponents, logRoutes } from '../../src/api/receipts/log.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import type { FeedHead } from '../../src/receipts/feeds/feed-store.ts'
import { decodeEntry, encodeEntry } from '../../src/wire/entry.ts'
import { openHead } from '../../src/wire/head.ts'
import { isConsistent, leafHash, Peaks } from '../../src/wire/merkle.ts'
import { proveConsistency } from '../../src/wire/merkle-proof.ts'
import { sameBytes } from '../../src/wire/octets.ts'
import { providersLog, stage } from '../receipts/feeds/stage.ts'
import { coordinator, ExampleLog, filled, network, provider } from '../wire/log-examples.ts'
import { errorOf, startServer } from './harness.ts'

const verify = createVerifyNative()

interface Kept {
  log: ExampleLog
  author: Uint8Array
  epoch: Uint8Array
}

const notes = (count: number, text = '') =>
  Array.from({ length: count }, (_, n) =>
    encodeEntry({ kind: 'note', at: n, body: { n, ...(text && { text }) } }),
  )

const kept = (of: typeof provider, count: number, epoch = filled(3, 8), text = ''): Kept => ({
  log: new ExampleLog(of, epoch).append(...notes(count, text)),
  author: of.publicKey,
  epoch,
})

async function start(...logs: Kept[]) {
  const logOf = ({ author, epoch }: Omit<Kept, 'log'>): ExampleLog => {
    const found = logs.find(
      (each) => sameBytes(each.author, author) && sameBytes(each.epoch, epoch),
    )
    if (found === undefined) throw new Error('no such log')
    return found.log
  }
  const feeds = {
    async *feeds({ author, after }: { author?: Uint8Array; after?: { epoch: Uint8Array } } = {}) {
      let isBehind = after === undefined
      for (const each of logs) {
        const { log, epoch } = each
        if (isBehind && (author === undefined || sameBytes(author, each.author))) {
          yield { feed: each, head: log.head(), start: 0 } satisfies FeedHead
        }
        isBehind ||= after !== undefined && sameBytes(after.epoch, epoch)
      }
    },
    async *entries({ author, epoch }: Omit<Kept, 'log'>, from: number, to: number) {
      const { entries } = logOf({ author, epoch })
      for (const [at, { bytes }] of entries.slice(from, to).entries()) {
        yield { index: from + at, arrived: 0, bytes }
      }
    },
    peaksAt: async (feed: Omit<Kept, 'log'>, size: number) => [...logOf(feed).peaks(size).hashes],
    proveGrowth: async (feed: Omit<Kept, 'log'>, from: number, to: number) =>
      proveConsistency(from, to, logOf(feed).read),
  }
  return serve(feeds)
}

async function serve(feeds: LogComponents['feeds']) {
  const { url } = await startServer([logRoutes({ feeds })])
  const lines = async (path: string) =>
    (await (await fetch(`${url}${path}`)).text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  return { url, lines }
}

interface PartLine {
  head: string
  head_signature: string
  from: number
  end: number
  peaks: string[]
  path: string[]
}

/** Throws unless the answer is a part of the log that its head signs, by itself. */
function openPart([part, ...entries]: [PartLine, ...{ index: number; entry_b64: string }[]]) {
  const payload = Buffer.from(part.head, 'base64')
  const signature = Buffer.from(part.head_signature, 'base64')
  const { root, size } = openHead({ payload, signature }, { network, verify })
  const peaks = new Peaks(part.from, part.peaks.map(hexToBytes))
  for (const [at, { index, entry_b64 }] of entries.entries()) {
    expect(index).toBe(part.from + at)
    peaks.append(leafHash(decodeEntry(Buffer.from(entry_b64, 'base64')).cid.bytes))
  }
  const consistency = {
    ...{ from: part.end, fromRoot: peaks.root(), to: size, toRoot: root },
    path: part.path.map(hexToBytes),
  }
  expect([peaks.size, isConsistent(consistency)]).toEqual([part.end, true])
  return part
}

describe('GET /v8/log/{author}', () => {
  it('is read again by anybody, up to the root that was signed', async () => {
    const { lines } = await start(kept(coordinator, 2), kept(provider, 5))
    const [head, ...entries] = await lines(`/v8/log/${provider.peerId}`)
    const payload = Buffer.from(head.head, 'base64')
    const signature = Buffer.from(head.head_signature, 'base64')
    const { root, size } = openHead({ payload, signature }, { network, verify })
    const peaks = new Peaks()
    for (const [at, { index, cid, entry_b64 }] of entries.entries()) {
      const sealed = decodeEntry(Buffer.from(entry_b64, 'base64'))
      expect({ index, cid }).toEqual({ index: at, cid: sealed.cid.toString() })
      peaks.append(leafHash(sealed.cid.bytes))
    }
    expect(entries).toHaveLength(size)
    expect(peaks.root()).toEqual(root)
    expect(head).toMatchObject({
      ...{ author: provider.peerId, epoch: '03'.repeat(8), size: 5, start: 0 },
      root: Buffer.from(root).toString('hex'),
    })
  })

  it.each(['', '?from=0', '?from=1', '?from=1003', '?from=1200', '?from=9999'])(
    'proves by itself what it shows: %s',
    async (query) => {
      const { lines } = await start(kept(provider, 1200))
      const answer = await lines(`/v8/log/${provider.peerId}${query}`)
      const { from, end } = openPart(answer as Parameters<typeof openPart>[0])
      const asked = Number(query.slice('?from='.length))
      expect([from, end]).toEqual([Math.min(asked, 1200), Math.min(asked + 1000, 1200)])
    },
  )

  it('says so where the beginning is not here any more, and proves the rest', async () => {
    const { feeds, intake } = await stage()
    await intake.ingest(await providersLog(20).batch(0, 20))
    const feed = { author: provider.publicKey, epoch: filled(3, 8) }
    await intake.prune(feed, 7)
    const { url, lines } = await serve(feeds)
    const path = `/v8/log/${provider.peerId}`
    const gone = await fetch(`${url}${path}?from=0`)
    expect(gone.status).toBe(410)
    const { code, message } = (await errorOf(gone)).error
    expect(code).toBe('log_pruned')
    const [start] = (await lines(path)) as Parameters<typeof openPart>[0]
    expect(message).toContain(`from entry ${start.from} on`)
    for (const query of ['', '?from=11']) {
      const part = openPart((await lines(`${path}${query}`)) as Parameters<typeof openPart>[0])
      expect(part.end).toBe(20)
    }
  })

  it('says so where the beginning is thrown away while it is read', async () => {
    const { feeds, intake } = await stage()
    await intake.ingest(await providersLog(20).batch(0, 20))
    const feed = { author: provider.publicKey, epoch: filled(3, 8) }
    const read = feeds.entries.bind(feeds)
    feeds.entries = async function* (...part) {
      feeds.entries = read
      await intake.prune(feed, 7)
      yield* read(...part)
    }
    const { url } = await serve(feeds)
    const gone = await fetch(`${url}/v8/log/${provider.peerId}`)
    expect([gone.status, (await errorOf(gone)).error.code]).toEqual([410, 'log_pruned'])
  })

  it('goes on where it is told to, and ends', async () => {
    const { lines } = await start(kept(provider, 1200))
    const path = `/v8/log/${provider.peerId}`
    expect(await lines(path)).toHaveLength(1001)
    const rest = await lines(`${path}?from=1000`)
    expect(rest.slice(1).map(({ index }) => index)).toEqual(
      [...Array(200).keys()].map((n) => n + 1000),
    )
    expect(await lines(`${path}?from=1200`)).toHaveLength(1)
  })

  it('holds so many bytes and no more', async () => {
    const { lines } = await start(kept(provider, 200, filled(3, 8), 'x'.repeat(30_000)))
    const answer = await lines(`/v8/log/${provider.peerId}`)
    expect(answer.length).toBeGreaterThan(100)
    expect(answer.length).toBeLessThan(145)
  })

  it('is of one epoch', async () => {
    const { lines } = await start(kept(provider, 1), kept(provider, 2, filled(4, 8)))
    const of = async (epoch: string) =>
      (await lines(`/v8/log/${provider.peerId}?epoch=${epoch}`))[0].size
    expect([await of('03'.repeat(8)), await of('04'.repeat(8))]).toEqual([1, 2])
  })

  it.each([
    [`/v8/log/${coordinator.peerId}`, 404, 'log_not_found'],
    [`/v8/log/${provider.peerId}?epoch=00`, 404, 'log_not_found'],
    ['/v8/log/nobody', 400, 'invalid_value'],
    [`/v8/log/${provider.peerId}?from=-1`, 400, 'invalid_value'],
    [`/v8/log/${provider.peerId}?from=1e3`, 400, 'invalid_value'],
    ['/v8/log/heads?after=x', 400, 'invalid_value'],
  ])('%s is answered with %s', async (path, status, code) => {
    const { url } = await start(kept(provider, 1))
    const answer = await fetch(`${url}${path}`)
    expect(answer.status).toBe(status)
    expect((await errorOf(answer)).error.code).toBe(code)
  })
})

describe('GET /v8/log/heads', () => {
  it('lists them all, a page at a time', async () => {
    const logs = Array.from({ length: 501 }, (_, at) =>
      kept(provider, 1, Uint8Array.of(0, 0, 0, 0, 0, 0, at >> 8, at & 255)),
    )
    const { url } = await start(...logs)
    const get = async (query: string) =>
      (await (await fetch(`${url}/v8/log/heads${query}`)).json()) as {
        data: { epoch: string }[]
        has_more: boolean
        last_id: string
      }
    const first = await get('')
    expect(first).toMatchObject({ has_more: true, last_id: `${provider.peerId}.00000000000001f3` })
    expect(first.data).toHaveLength(500)
    expect(first.data[0]).toMatchObject({ object: 'log.head', author: provider.peerId, size: 1 })
    const next = await get(`?after=${first.last_id}`)
    expect(next).toMatchObject({ data: [{ epoch: '00000000000001f4' }], has_more: false })
  })

  it('is empty where there is none', async () => {
    const { url } = await start()
    expect(await (await fetch(`${url}/v8/log/heads`)).json()).toEqual({
      ...{ object: 'list', data: [], has_more: false, last_id: null },
    })
  })
})
