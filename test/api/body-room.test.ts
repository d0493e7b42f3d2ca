import { expect, it } from 'vitest'
import { takeRoom } from '../../src/api/body-room.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { array, closed, string } from '../../src/api/schema.ts'
import { owner, rawSocket, readAll, startServer } from './harness.ts'

const KIB = 1024
const ROOM = 1024 * KIB

/** Keys are accounts. `POST /things` answers when it is let, `POST /others` at once. */
async function start() {
  const gate = Promise.withResolvers<void>()
  let waiting = 0
  const schema = { body: closed({ a: array(string()) }) }
  const route: RouteModule = (app) => {
    app.post('/things', { schema, config: { access: 'inference' } }, async () => {
      waiting += 1
      await gate.promise
      return { ok: true }
    })
    app.post('/named', { schema, config: { access: 'inference' } }, async (request, reply) => {
      const { a } = request.body as { a: string[] }
      for (const bytes of a) takeRoom(reply, Number(bytes))
      waiting += 1
      await gate.promise
      return { ok: true }
    })
    app.post('/others', { schema, config: { access: 'inference' } }, () => ({ ok: true }))
  }
  const keys = { verify: (account: string) => ({ ...owner, keyId: account, account }) }
  const options = { keys, bodiesBytesMax: ROOM, lingerMs: 500 }
  const { url, port } = await startServer([route], options)
  const send = (account: string, bytes: number, path = '/things') =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'x-api-key': account, 'content-type': 'application/json' },
      body: bodyOf(bytes),
    })
  const name = (account: string, ...bytes: number[]) => {
    const leaving = new AbortController()
    const answer = fetch(`${url}/named`, {
      method: 'POST',
      headers: { 'x-api-key': account, 'content-type': 'application/json' },
      body: JSON.stringify({ a: bytes.map(String) }),
      signal: leaving.signal,
    })
    return { answer, leave: () => leaving.abort() }
  }
  return { port, send, name, gate, waiting: () => waiting }
}

const bodyOf = (bytes: number) => JSON.stringify({ a: ['x'.repeat(bytes)] })

it('large bodies take turns, and leave each account a half of the room', async () => {
  const { send, gate, waiting } = await start()
  const first = [send('ann', 400 * KIB), send('bob', 300 * KIB)]
  await expect.poll(waiting, { timeout: 30_000 }).toBe(2)
  const refused = await send('ann', 200 * KIB)
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } })
  expect(refused.headers.get('retry-after')).toBe('1')
  const small = [send('ann', 10 * KIB), send('cat', 200 * KIB)]
  await expect.poll(waiting, { timeout: 30_000 }).toBe(4)
  expect((await send('dan', 400 * KIB)).status).toBe(503)
  gate.resolve()
  for (const answer of await Promise.all([...first, ...small])) expect(answer.status).toBe(200)
  for (const account of ['ann', 'dan']) expect((await send(account, 450 * KIB)).status).toBe(200)
})

it('a body that goes on for ever, or whose sender leaves, holds no room', async () => {
  const { port, send, waiting } = await start()
  const head = (length: number) =>
    'POST /things HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ann\r\n' +
    `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`
  const endless = await rawSocket(port)
  endless.write(head(8 * ROOM) + ' '.repeat(2 * ROOM))
  expect(await readAll(endless)).toMatch(/^HTTP\/1.1 503 /)
  const leaving = await rawSocket(port)
  const body = bodyOf(400 * KIB)
  leaving.write(head(body.length) + body)
  await expect.poll(waiting, { timeout: 30_000 }).toBe(1)
  expect((await send('ann', 300 * KIB, '/others')).status).toBe(503)
  leaving.destroy()
  const status = async () => (await send('ann', 450 * KIB, '/others')).status
  await expect.poll(status, { timeout: 30_000 }).toBe(200)
})

it('what a body only names takes up room as what is in one does, until its answer is out', async () => {
  const { send, name, gate, waiting } = await start()
  const first = name('ann', 200 * KIB, 200 * KIB)
  await expect.poll(waiting, { timeout: 30_000 }).toBe(1)
  expect((await send('ann', 300 * KIB)).status).toBe(503)
  const refused = await name('ann', 100 * KIB, 300 * KIB).answer
  expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } })
  // What the refused one had is free again.
  const second = name('ann', 100 * KIB)
  await expect.poll(waiting, { timeout: 30_000 }).toBe(2)
  first.leave()
  await expect(first.answer).rejects.toThrow()
  const status = async () => (await send('ann', 350 * KIB, '/others')).status
  await expect.poll(status, { timeout: 30_000 }).toBe(200)
  gate.resolve()
  expect((await second.answer).status).toBe(200)
  await expect
    .poll(async () => (await send('ann', 450 * KIB, '/others')).status, { timeout: 30_000 })
    .toBe(200)
})
