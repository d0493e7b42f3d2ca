import { describe, expect, it } from 'vitest'
import { type AccountEventType, noEvents } from '../../../src/accounts/events.ts'
import { settled } from '../../base/fake-clock.ts'
import { StubBackend } from '../../storage/stub-backend.ts'
import {
  DAY,
  deliveriesOf,
  endpoint,
  event,
  eventsOf,
  HOUR,
  MINUTE,
  never,
  newStage,
  openOn,
  SECOND,
  says,
  signal,
} from './stage.ts'

const url = 'https://ada.example/hook'

async function setUp(options: Parameters<typeof openOn>[1] = {}) {
  const stage = newStage()
  const opened = await openOn(stage, options)
  await opened.webhooks.start()
  return { ...stage, ...opened }
}

describe('an event', () => {
  it('goes to the endpoints of its account that want it, in OpenAI’s envelope', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    await endpoint(webhooks, url)
    await endpoint(webhooks, 'https://ada.example/keys', { types: ['key.*'] })
    await endpoint(webhooks, 'https://eve.example/', { account: 'eve' })
    webhooks.emit(event(1))
    await clock.advance(0)
    expect(mailbox.got.map((letter) => letter.url)).toEqual([url])
    const [letter] = mailbox.got
    expect(JSON.parse(letter?.body ?? '')).toEqual({
      object: 'event',
      id: expect.stringMatching(/^evt_[0-9a-z]{26}$/),
      type: 'chat.completed',
      created_at: clock.now() / 1000,
      data: { object: { id: 'chat_1', n: 1 } },
    })
    expect(letter?.headers).toEqual({
      'content-type': 'application/json',
      'user-agent': 'test/1',
      'webhook-id': JSON.parse(letter?.body ?? '').id,
      'webhook-timestamp': `${clock.now() / 1000}`,
      'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
    })
  })

  it.each([
    ['key.*', ['key.created', 'key.rotated', 'key.revoked']],
    ['key.revoked', ['key.revoked']],
    ['credits.low', ['credits.low']],
    ['generation.failed', ['generation.failed']],
  ] as const)('of the types that %s stands for, and no other', async (wanted, heard) => {
    const { webhooks, mailbox, clock } = await setUp()
    await endpoint(webhooks, url, { types: [wanted] })
    const all: AccountEventType[] = [
      ...(['chat.completed', 'generation.succeeded', 'generation.failed'] as const),
      ...(['key.created', 'key.rotated', 'key.revoked', 'credits.low'] as const),
    ]
    for (const type of all) webhooks.emit(event(1, type))
    await clock.advance(0)
    expect(mailbox.got.map(({ body }) => JSON.parse(body).type).sort()).toEqual([...heard].sort())
    // All are kept: a listing tells of more than was sent.
    expect(await eventsOf(webhooks)).toHaveLength(all.length)
  })

  it('of an account without endpoints costs nothing, and is not kept', async () => {
    const backend = new StubBackend()
    const { webhooks } = await openOn(newStage({ backend }))
    await endpoint(webhooks, url)
    const before = backend.writes.length
    webhooks.emit(event(1, 'chat.completed', 'eve'))
    noEvents(event(1))
    await settled()
    expect(backend.writes.length).toBe(before)
    expect(await eventsOf(webhooks, 'eve')).toEqual([])
  })

  it('in a batch goes out with it, not before, and not when it fails', async () => {
    const backend = new StubBackend()
    const stage = newStage({ backend })
    const { webhooks, store } = await openOn(stage)
    await webhooks.start()
    await endpoint(webhooks, url)
    const rows = store.batch()
    webhooks.emit(event(1), rows)
    await stage.clock.advance(DAY)
    expect(stage.mailbox.got).toEqual([])
    backend.held = true
    const commit = store.commit(rows)
    await stage.clock.advance(DAY)
    expect(stage.mailbox.got).toEqual([])
    backend.release()
    await commit
    await stage.clock.advance(0)
    expect(stage.mailbox.got).toHaveLength(1)

    const failing = store.batch()
    webhooks.emit(event(2), failing)
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    await expect(store.commit(failing)).rejects.toMatchObject({ code: 'storage_failed' })
    await stage.clock.advance(DAY)
    expect(stage.mailbox.got).toHaveLength(1)
  })

  it('that the disk refuses, or that is no JSON, troubles nobody, and is said', async () => {
    const backend = new StubBackend()
    const stage = newStage({ backend })
    const { webhooks } = await openOn(stage)
    await endpoint(webhooks, url)
    webhooks.emit({ ...event(1), data: { object: { n: 1n } } })
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    webhooks.emit(event(2))
    await settled()
    expect(stage.logged.filter(({ message }) => message === 'an event was lost')).toHaveLength(2)
  })

  it('that is too large is told of by its plain members', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    await endpoint(webhooks, url)
    const object = {
      id: 'chat_1',
      n: 1,
      message: { content: 'x'.repeat(70_000) },
      text: 'y'.repeat(300),
    }
    webhooks.emit({ ...event(1), data: { object } })
    webhooks.emit({ ...event(2), data: { object: undefined } })
    await clock.advance(0)
    const sent = mailbox.got.map(({ body }) => JSON.parse(body).data.object)
    expect(sent).toContainEqual({ id: 'chat_1', n: 1, truncated: true })
    expect(sent).toContainEqual(null)
  })

  it('is listed with what is still to be delivered of it, newest first, by type', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    await endpoint(webhooks, url)
    await endpoint(webhooks, 'https://ada.example/down')
    mailbox.answer = (letter) => says(letter.url === url ? 200 : 500)
    webhooks.emit(event(1))
    await clock.advance(1)
    webhooks.emit(event(2, 'credits.low'))
    await clock.advance(1)
    const listed = []
    for await (const each of webhooks.events('ada', { reverse: true })) listed.push(each)
    expect(listed).toMatchObject([
      { type: 'credits.low', pending: 0, object: { n: 2 } },
      { type: 'chat.completed', pending: 1, object: { n: 1 } },
    ])
    expect(await eventsOf(webhooks, 'ada', 'credits.low')).toHaveLength(1)
    expect(await eventsOf(webhooks, 'ada', 'key.created')).toEqual([])
    expect(await eventsOf(webhooks, 'eve')).toEqual([])
  })
})

describe('a delivery', () => {
  it('is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, and no more', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    mailbox.answer = () => says(503)
    webhooks.emit(event(1))
    await clock.advance(4 * DAY)
    const times = mailbox.got.map(({ at }) => at)
    const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0))
    const planned = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR]
    expect(waits).toHaveLength(planned.length)
    for (const [index, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(planned[index] ?? 0)
      expect(wait).toBeLessThanOrEqual((planned[index] ?? 0) * 1.1)
    }
    // The same event each time, each time signed anew.
    expect(new Set(mailbox.got.map(({ id: sent, body }) => sent + body)).size).toBe(1)
    expect(new Set(mailbox.got.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(8)
    expect(await deliveriesOf(webhooks, id)).toMatchObject([
      {
        ...{ id: expect.stringMatching(/^whdel_/), endpointId: id, attempts: 8, status: 'failed' },
        ...{ responseStatus: 503, responseMs: 5, fault: 'refused', nextAttemptAt: null },
      },
    ])
    expect(webhooks.get('ada', id)).toMatchObject({ failureCount: 8, disabledAt: null })
  })

  it('says how it stands in between, and the endpoint with it', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    const began = clock.now()
    mailbox.answer = () => ({ ms: 3, fault: 'timeout' })
    webhooks.emit(event(1))
    await clock.advance(SECOND)
    const [first] = await deliveriesOf(webhooks, id)
    expect(first).toMatchObject({ attempts: 1, status: 'pending', fault: 'timeout' })
    expect(first?.nextAttemptAt).toBeGreaterThanOrEqual(began + 5 * SECOND)
    expect(webhooks.get('ada', id)).toMatchObject({ failureCount: 1, lastFailureAt: began })
    mailbox.answer = () => says(204)
    await clock.advance(MINUTE)
    expect(await deliveriesOf(webhooks, id)).toMatchObject([
      { attempts: 2, status: 'succeeded', responseStatus: 204, fault: null, nextAttemptAt: null },
    ])
    expect(webhooks.get('ada', id)).toMatchObject({
      ...{ failureCount: 0, lastFailureAt: began, failingSince: null },
      lastSuccessAt: mailbox.got.at(-1)?.at,
    })
  })

  it.each([
    [301, 'redirected'],
    [307, 'redirected'],
    [400, 'refused'],
    [429, 'refused'],
    [500, 'refused'],
  ])('that is answered with %i is %s, and tried again', async (code, fault) => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    mailbox.answer = () => says(code)
    webhooks.emit(event(1))
    await clock.advance(6 * SECOND)
    expect(mailbox.got).toHaveLength(2)
    expect(await deliveriesOf(webhooks, id)).toMatchObject([{ fault, responseStatus: code }])
  })

  it('that is answered with 410 is the last: the endpoint is disabled', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    mailbox.answer = () => says(410)
    webhooks.emit(event(1))
    await clock.advance(DAY)
    webhooks.emit(event(2))
    await clock.advance(DAY)
    expect(mailbox.got).toHaveLength(1)
    expect(await deliveriesOf(webhooks, id)).toMatchObject([{ status: 'failed', fault: 'gone' }])
    expect(webhooks.get('ada', id).disabledAt).toBeGreaterThan(0)

    mailbox.answer = () => says(200)
    await webhooks.update('ada', id, { disabled: false }, { signal })
    webhooks.emit(event(3))
    await clock.advance(0)
    expect(mailbox.got).toHaveLength(2)
    expect(webhooks.get('ada', id)).toMatchObject({ disabledAt: null, failureCount: 0 })
  })

  it('ends when its endpoint is disabled or gone before its turn', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const off = await endpoint(webhooks, url)
    const gone = await endpoint(webhooks, 'https://ada.example/gone')
    mailbox.answer = () => says(500)
    webhooks.emit(event(1))
    await clock.advance(0)
    await webhooks.update('ada', off.id, { disabled: true }, { signal })
    await webhooks.remove('ada', gone.id)
    await clock.advance(DAY)
    expect(mailbox.got).toHaveLength(2)
    expect(await deliveriesOf(webhooks, off.id)).toMatchObject([
      { status: 'failed', fault: 'endpoint_disabled', attempts: 1 },
    ])
    expect(() => webhooks.deliveries('ada', gone.id, {})).toThrow(/no such webhook/)
    expect(await eventsOf(webhooks)).toMatchObject([{ pending: 0 }])
  })
})

describe('an endpoint that takes nothing', () => {
  it('is disabled after five days of it, not before', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    mailbox.answer = () => ({ ms: 1, fault: 'connection_failed' })
    const began = clock.now()
    for (let hour = 0; hour < 6 * 24; hour += 12) {
      webhooks.emit(event(hour))
      await clock.advance(12 * HOUR)
      const { disabledAt } = webhooks.get('ada', id)
      if (clock.now() - began < 5 * DAY) expect(disabledAt).toBeNull()
    }
    expect(webhooks.get('ada', id).disabledAt).toBeGreaterThanOrEqual(began + 5 * DAY)
    const sent = mailbox.got.length
    webhooks.emit(event(0))
    await clock.advance(3 * DAY)
    expect(mailbox.got.length).toBe(sent)
  })

  it('has all the time again when its holder says so, after a restart too', async () => {
    const { webhooks, store, mailbox, clock, ...stage } = await setUp()
    const { id } = await endpoint(webhooks, url)
    mailbox.answer = () => says(500)
    for (let day = 0; day < 6; day++) {
      webhooks.emit(event(day))
      await clock.advance(DAY)
    }
    expect(webhooks.get('ada', id).disabledAt).not.toBeNull()
    await webhooks.update('ada', id, { disabled: false }, { signal })
    await webhooks.stop()
    await store.close()
    const again = await openOn({ ...stage, mailbox, clock })
    await again.webhooks.start()
    again.webhooks.emit(event(7))
    await clock.advance(DAY)
    expect(again.webhooks.get('ada', id)).toMatchObject({ disabledAt: null })
  })

  it('has all the time again once it took something', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    for (let hour = 0; hour < 12 * 24; hour += 24) {
      mailbox.answer = () => says(hour === 4 * 24 || hour === 8 * 24 ? 200 : 500)
      webhooks.emit(event(hour))
      await clock.advance(DAY)
    }
    expect(webhooks.get('ada', id).disabledAt).toBeNull()
  })

  it('holds up nobody: not its account, not others', async () => {
    const { webhooks, mailbox, clock } = await setUp({
      courier: { atWorkMax: 6, atWorkPerAccount: 3, atWorkPerEndpoint: 2 },
    })
    await endpoint(webhooks, 'https://ada.example/slow')
    await endpoint(webhooks, url)
    const bob = 'https://bob.example/'
    await endpoint(webhooks, bob, { account: 'bob' })
    mailbox.answer = (letter) => (letter.url.endsWith('slow') ? never() : says(200))
    for (let n = 0; n < 50; n++) webhooks.emit(event(n))
    for (let n = 0; n < 50; n++) webhooks.emit(event(n, 'chat.completed', 'bob'))
    await clock.advance(0)
    expect(mailbox.of('https://ada.example/slow')).toHaveLength(2)
    expect(mailbox.of(url)).toHaveLength(50)
    expect(mailbox.of(bob)).toHaveLength(50)
  })

  it('is asked by one at a time while it fails', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    await endpoint(webhooks, url)
    mailbox.answer = () => says(500)
    webhooks.emit(event(0))
    await clock.advance(0)
    mailbox.answer = never
    for (let n = 1; n < 10; n++) webhooks.emit(event(n))
    await clock.advance(DAY)
    expect(mailbox.got).toHaveLength(2)
  })
})
