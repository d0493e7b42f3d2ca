import { describe, expect, it } from 'vitest'
import { backupRoutes, isFromHere } from '../../src/api/backup.ts'
import { asOwner, errorOf, owner, startServer } from './harness.ts'

/** A peer whose backup goes on until it is let end. `sk-other` is the owner's too, but not the key. */
async function start() {
  const gate = Promise.withResolvers<void>()
  const signals: AbortSignal[] = []
  let ended = 0
  const backup = async function* (signal: AbortSignal) {
    signals.push(signal)
    try {
      yield Buffer.from('first ')
      await Promise.race([
        gate.promise,
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
      ])
      yield Buffer.from('last')
    } finally {
      ended += 1
    }
  }
  const keys = { verify: () => owner }
  const routes = [backupRoutes({ ownerKey: 'sk-owner', backup })]
  const { url, server, log } = await startServer(routes, { keys })
  const ask = (headers: Record<string, string> = asOwner, signal?: AbortSignal) =>
    fetch(`${url}/backup`, { method: 'POST', headers, ...(signal && { signal }) })
  return { ask, gate, signals, server, log, ended: () => ended }
}

describe('POST /backup', () => {
  it("is for the owner's key alone, and not through a proxy", async () => {
    const { ask, signals } = await start()
    const other = { authorization: 'Bearer sk-other' }
    const proxied = { ...asOwner, 'x-forwarded-for': '203.0.113.7' }
    for (const headers of [other, proxied, { ...asOwner, forwarded: 'for=203.0.113.7' }]) {
      const answer = await ask(headers)
      expect(answer.status).toBe(403)
      expect((await errorOf(answer)).error.code).toBe('insufficient_scope')
    }
    expect(signals).toEqual([])
  })

  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['::1', '::1', true],
    ['::ffff:127.0.0.1', '::ffff:127.0.0.1', true],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['::ffff:192.0.2.7', '::ffff:192.0.2.8', false],
    [undefined, undefined, false],
  ])('from %s at %s: %s', (remoteAddress, localAddress, expected) => {
    expect(isFromHere({ remoteAddress, localAddress })).toBe(expected)
  })

  it('is one at a time', async () => {
    const { ask, gate } = await start()
    const first = await ask()
    expect(first.headers.get('content-type')).toBe('application/octet-stream')
    const second = await ask()
    expect([second.status, (await errorOf(second)).error.code]).toEqual([503, 'overloaded'])
    gate.resolve()
    expect(await first.text()).toBe('first last')
    expect(await (await ask()).text()).toBe('first last')
  })

  it('ends when its client leaves, and then the next one may come', async () => {
    const { ask, gate, signals, ended } = await start()
    const leaving = new AbortController()
    await ask(asOwner, leaving.signal)
    leaving.abort()
    await expect.poll(() => signals[0]?.aborted).toBe(true)
    await expect.poll(ended).toBe(1)
    gate.resolve()
    expect(await (await ask()).text()).toBe('first last')
  })

  it('is cut off when the peer stops, so that nobody takes it for whole', async () => {
    const { ask, server } = await start()
    const answer = await ask()
    const text = answer.text()
    await Promise.all([expect(text).rejects.toThrow(), server.stop()])
  })
})
