import { describe, expect, it } from 'vitest'
import type { Endpoint } from '../../../src/accounts/webhooks/endpoint-record.ts'
import { settled } from '../../base/fake-clock.ts'
import { StubBackend } from '../../storage/stub-backend.ts'
import {
  DAY,
  deliveriesOf,
  endpoint,
  event,
  eventsOf,
  HOUR,
  newStage,
  openOn,
  says,
  signal,
} from './stage.ts'

const url = 'https://ada.example/hook'
const notFound = { code: 'webhook_not_found' }

async function setUp(options: Parameters<typeof openOn>[1] = {}) {
  const stage = newStage()
  const opened = await openOn(stage, options)
  await opened.webhooks.start()
  return { ...stage, ...opened }
}

describe('an endpoint', () => {
  it('is as it was asked for, after a restart too', async () => {
    const { webhooks, store, ...stage } = await setUp()
    const choices = { name: ' mine ', url, eventTypes: ['key.*' as const], disabled: false }
    const made = await webhooks.create('ada', choices, { signal })
    expect(made).toEqual({
      ...{ id: expect.stringMatching(/^whend_[0-9a-z]{26}$/), account: 'ada', name: 'mine', url },
      ...{ eventTypes: ['key.*'], secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) },
      ...{ previous: null, createdAt: stage.clock.now(), updatedAt: stage.clock.now() },
      ...{ disabledAt: null, lastSuccessAt: null, lastFailureAt: null },
      ...{ failureCount: 0, failingSince: null },
    })
    await webhooks.stop()
    await store.close()
    const again = await openOn(stage)
    expect(again.webhooks.list('ada')).toEqual([made])
  })

  it('is on the disk before it is shown', async () => {
    const backend = new StubBackend()
    const { webhooks } = await openOn(newStage({ backend }))
    backend.held = true
    let made: Endpoint | undefined
    const creation = endpoint(webhooks, url).then((each) => {
      made = each
    })
    await settled()
    expect([made, webhooks.list('ada')]).toEqual([undefined, []])
    backend.release()
    await creation
    expect(webhooks.list('ada')).toEqual([made])
  })

  it('changes in what is said, and in nothing else', async () => {
    const { webhooks, clock } = await setUp()
    const made = await endpoint(webhooks, url)
    await clock.advance(HOUR)
    const changed = await webhooks.update('ada', made.id, { name: 'new' }, { signal })
    expect(changed).toEqual({ ...made, name: 'new', updatedAt: clock.now() })
    const off = await webhooks.update('ada', made.id, { disabled: true }, { signal })
    expect(off).toEqual({ ...changed, disabledAt: clock.now() })
    await Promise.all([
      webhooks.update('ada', made.id, { url: 'https://ada.example/2' }, { signal }),
      webhooks.update('ada', made.id, { eventTypes: ['credits.low'] }, { signal }),
    ])
    expect(webhooks.list('ada')).toMatchObject([
      { url: 'https://ada.example/2', eventTypes: ['credits.low'] },
    ])
  })

  it('has a name on one line', async () => {
    const { webhooks } = await setUp()
    const { id } = await endpoint(webhooks, url)
    for (const name of ['a\nb', 'x'.repeat(129), '\u202e']) {
      const wrong = { param: 'name' }
      await expect(webhooks.update('ada', id, { name }, { signal })).rejects.toMatchObject(wrong)
      const choices = { name, url, eventTypes: [], disabled: false }
      await expect(webhooks.create('ada', choices, { signal })).rejects.toMatchObject(wrong)
    }
  })

  it('is another account’s in nothing: it is not there', async () => {
    const { webhooks } = await setUp()
    const { id } = await endpoint(webhooks, url)
    const eve: [string, () => unknown][] = [
      ['get', () => webhooks.get('eve', id)],
      ['update', () => webhooks.update('eve', id, { name: 'x' }, { signal })],
      ['remove', () => webhooks.remove('eve', id)],
      ['rotate', () => webhooks.rotate('eve', id)],
      ['test', () => webhooks.test('eve', id, { signal })],
      ['deliveries', () => webhooks.deliveries('eve', id, {})],
    ]
    for (const [what, call] of eve) {
      await expect((async () => call())(), what).rejects.toMatchObject(notFound)
    }
    expect(webhooks.list('eve')).toEqual([])
    expect(webhooks.list('ada')).toHaveLength(1)
  })

  it('is one of few in an account, and of so many in all', async () => {
    const limits = { perAccountMax: 3, endpointsMax: 4 }
    const { webhooks } = await setUp({ endpoints: limits })
    const many = { code: 'too_many_webhooks' }
    const asked = await Promise.allSettled(Array.from({ length: 5 }, () => endpoint(webhooks, url)))
    expect(asked.map(({ status }) => status)).toEqual([
      ...Array(3).fill('fulfilled'),
      ...Array(2).fill('rejected'),
    ])
    await expect(endpoint(webhooks, url)).rejects.toMatchObject(many)
    await endpoint(webhooks, url, { account: 'eve' })
    await expect(endpoint(webhooks, url, { account: 'eve' })).rejects.toMatchObject(many)
    await webhooks.remove('ada', webhooks.list('ada')[0]?.id ?? '')
    await endpoint(webhooks, url)
  })

  it('that is deleted leaves nothing behind but its account’s events', async () => {
    const { webhooks, clock, store, ...stage } = await setUp()
    const { id } = await endpoint(webhooks, url)
    stage.mailbox.answer = () => says(500)
    webhooks.emit(event(1))
    await clock.advance(1000)
    await webhooks.remove('ada', id)
    await clock.advance(HOUR)
    expect(() => webhooks.get('ada', id)).toThrow()
    expect(await eventsOf(webhooks)).toHaveLength(1)
    await webhooks.stop()
    const left = []
    const range = { gte: new Uint8Array(0), lt: Uint8Array.of(255), reverse: false }
    for await (const [key] of stage.backend.range({ ...range, limit: 100 })) {
      left.push(Buffer.from(key).toString('latin1'))
    }
    expect(left.filter((key) => key.includes('webhooks-'))).toEqual([
      expect.stringContaining('webhooks-eventsada/evt_'),
    ])
  })
})

describe('what is kept', () => {
  it('is of the last month', async () => {
    const { webhooks, clock } = await setUp()
    const { id } = await endpoint(webhooks, url)
    webhooks.emit(event(1))
    await clock.advance(20 * DAY)
    webhooks.emit(event(2))
    await clock.advance(11 * DAY)
    expect((await eventsOf(webhooks)).map(({ object }) => object)).toEqual([{ id: 'chat_2', n: 2 }])
    expect(await deliveriesOf(webhooks, id)).toHaveLength(1)
  })

  it('is of each account and endpoint the newest so many', async () => {
    const { webhooks, clock } = await setUp({ sweeper: { eventsMax: 50, deliveriesMax: 30 } })
    const { id } = await endpoint(webhooks, url)
    await endpoint(webhooks, 'https://eve.example/', { account: 'eve' })
    webhooks.emit(event(0, 'chat.completed', 'eve'))
    for (let n = 0; n < 600; n++) {
      webhooks.emit(event(n))
      if (n % 10 === 0) await clock.advance(1)
    }
    await clock.advance(1)
    const events = await eventsOf(webhooks)
    expect(events.length).toBeGreaterThanOrEqual(50)
    expect(events.length).toBeLessThanOrEqual(250)
    expect(events.map(({ object }) => (object as { n: number }).n)).toContain(599)
    expect((await deliveriesOf(webhooks, id)).length).toBeLessThanOrEqual(230)
    expect(await eventsOf(webhooks, 'eve')).toHaveLength(1)
  })

  it('is trimmed after a restart too, and what waited for what is gone ends', async () => {
    const stage = newStage()
    const { webhooks, store } = await openOn(stage)
    const { id } = await endpoint(webhooks, url)
    for (let n = 0; n < 300; n++) webhooks.emit(event(n))
    await settled()
    await webhooks.stop()
    await store.close()
    const again = await openOn(stage, { sweeper: { eventsMax: 10, deliveriesMax: 1000 } })
    stage.mailbox.answer = () => says(500)
    again.webhooks.emit(event(300))
    await settled()
    expect((await eventsOf(again.webhooks)).length).toBeLessThanOrEqual(11)
    await again.webhooks.start()
    await stage.clock.advance(2 * DAY)
    const kept = await deliveriesOf(again.webhooks, id)
    expect(kept).toHaveLength(301)
    expect(kept.filter(({ fault }) => fault === 'event_expired').length).toBeGreaterThan(280)
    expect(kept.filter(({ status }) => status === 'pending')).toEqual([])
  })
})

describe('a test', () => {
  it('goes out at once, whatever the endpoint asks for, and says how it went', async () => {
    const { webhooks, mailbox, clock } = await setUp()
    const { id } = await endpoint(webhooks, url, { types: ['credits.low'] })
    await endpoint(webhooks, 'https://ada.example/other')
    const delivery = await webhooks.test('ada', id, { signal })
    expect(delivery).toMatchObject({
      ...{ eventType: 'webhook.test', endpointId: id, status: 'succeeded', responseStatus: 200 },
      ...{ attempts: 1, fault: null, nextAttemptAt: null },
    })
    expect(JSON.parse(mailbox.got[0]?.body ?? '')).toMatchObject({
      ...{ id: delivery.eventId, type: 'webhook.test' },
      data: { object: { id, object: 'webhook_endpoint', url } },
    })
    expect(await deliveriesOf(webhooks, id)).toEqual([delivery])
    expect(await eventsOf(webhooks)).toMatchObject([{ type: 'webhook.test', pending: 0 }])

    mailbox.answer = () => says(500)
    const failed = await webhooks.test('ada', id, { signal })
    expect(failed).toMatchObject({ status: 'failed', responseStatus: 500, fault: 'refused' })
    await clock.advance(DAY)
    expect(mailbox.got).toHaveLength(2)
    expect(webhooks.get('ada', id)).toMatchObject({ failureCount: 0 })
  })

  it('is one at a time, also of one that is disabled, and ends when nobody waits for it', async () => {
    const { webhooks, mailbox } = await setUp()
    const { id } = await endpoint(webhooks, url)
    await webhooks.update('ada', id, { disabled: true }, { signal })
    const stop = new AbortController()
    mailbox.answer = (_letter, end) =>
      new Promise((_resolve, reject) => {
        end.addEventListener('abort', () => reject(end.reason))
      })
    const first = webhooks.test('ada', id, { signal: stop.signal })
    await expect(webhooks.test('ada', id, { signal })).rejects.toMatchObject({ code: 'overloaded' })
    stop.abort(new Error('left'))
    await expect(first).rejects.toThrow('left')
    mailbox.answer = () => says(200)
    expect(await webhooks.test('ada', id, { signal })).toMatchObject({ status: 'succeeded' })
  })

  it('of one account are few at a time, so that those of others find a place', async () => {
    const { webhooks, mailbox } = await setUp()
    mailbox.answer = (_letter, end) =>
      new Promise((_resolve, reject) => {
        end.addEventListener('abort', () => reject(end.reason))
      })
    const stop = new AbortController()
    const testing: Promise<unknown>[] = []
    for (let n = 0; n < 4; n++) {
      const { id } = await endpoint(webhooks, url)
      testing.push(webhooks.test('ada', id, { signal: stop.signal }))
    }
    const fifth = await endpoint(webhooks, url)
    const refused = webhooks.test('ada', fifth.id, { signal })
    await expect(refused).rejects.toMatchObject({ code: 'overloaded' })
    const other = await endpoint(webhooks, url, { account: 'eve' })
    testing.push(webhooks.test('eve', other.id, { signal: stop.signal }))
    await expect.poll(() => mailbox.got.length).toBe(5)
    stop.abort(new Error('left'))
    expect((await Promise.allSettled(testing)).every(({ status }) => status === 'rejected')).toBe(
      true,
    )
  })
})
