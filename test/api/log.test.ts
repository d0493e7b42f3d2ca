import { describe, expect, it } from 'vitest'
import { logRoutes } from '../../src/api/receipts/log.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import type { FeedHead } from '../../src/receipts/feeds/feed-store.ts'
import { decodeEntry, encodeEntry } from '../../src/wire/entry.ts'
import { openHead } from '../../src/wire/head.ts'
import { leafHash, Peaks } from '../../src/wire/merkle.ts'
import { sameBytes } from '../../src/wire/octets.ts'
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
      const found = logs.find(
        (each) => sameBytes(each.author, author) && sameBytes(each.epoch, epoch),
      )
      for (const [at, { bytes }] of (found?.log.entries ?? []).slice(from, to).entries()) {
        yield { index: from + at, arrived: 0, bytes }
      }
    },
  }
  const { url } = await startServer([logRoutes({ feeds })])
  const lines = async (path: string) =>
    (await (await fetch(`${url}${path}`)).text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  return { url, lines }
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
