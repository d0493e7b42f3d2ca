import { describe, expect, it } from 'vitest'
import { settled } from '../../base/fake-clock.ts'
import { StubBackend } from '../../storage/stub-backend.ts'
import {
  deliveriesOf,
  endpoint,
  event,
  HOUR,
  MINUTE,
  newStage,
  openOn,
  SECOND,
  says,
  until,
} from './stage.ts'

const url = 'https://ada.example/hook'

describe('what waits', () => {
  it('is bounded for each account: what comes beyond is kept as failed', async () => {
    const stage = newStage()
    const { mailbox, clock } = stage
    const { webhooks } = await openOn(stage, {
      courier: { pendingPerAccount: 5 },
    })
    await webhooks.start()
    const { id } = await endpoint(webhooks, url)
    const other = await endpoint(webhooks, 'https://eve.example/', { account: 'eve' })
    mailbox.answer = () => says(500)
    for (let n = 0; n < 8; n++) {
      webhooks.emit(event(n))
      await clock.advance(1)
    }
    const faults = (await deliveriesOf(webhooks, id)).map(({ fault }) => fault)
    expect(faults).toEqual([...Array(5).fill('refused'), ...Array(3).fill('backlog_full')])
    webhooks.emit(event(1, 'chat.completed', 'eve'))
    await clock.advance(1)
    expect(await deliveriesOf(webhooks, other.id, 'eve')).toMatchObject([{ fault: 'refused' }])
  })

  it('goes out after a restart, at its time, under its id', async () => {
    const stage = newStage()
    const { webhooks, store } = await openOn(stage)
    await webhooks.start()
    const { id } = await endpoint(webhooks, url)
    stage.mailbox.answer = () => says(500)
    webhooks.emit(event(1))
    await stage.clock.advance(6 * SECOND)
    await webhooks.stop()
    await store.close()
    expect(stage.mailbox.got).toHaveLength(2)

    stage.mailbox.answer = () => says(200)
    const again = await openOn(stage)
    await again.webhooks.start()
    expect(again.webhooks.get('ada', id)).toMatchObject({ failureCount: 2 })
    await stage.clock.advance(4 * MINUTE)
    expect(stage.mailbox.got).toHaveLength(2)
    await stage.clock.advance(3 * MINUTE)
    expect(stage.mailbox.got).toHaveLength(3)
    expect(new Set(stage.mailbox.got.map((letter) => letter.id)).size).toBe(1)
    expect(await deliveriesOf(again.webhooks, id)).toMatchObject([
      { status: 'succeeded', attempts: 3 },
    ])
  })

  it('is let go of by a stop that has a deadline, and is not counted as failed', async () => {
    const stage = newStage()
    const { webhooks, store } = await openOn(stage)
    await webhooks.start()
    const { id } = await endpoint(webhooks, url)
    stage.mailbox.answer = (_letter, end) => until(end)
    webhooks.emit(event(1))
    await stage.clock.advance(0)
    let stopped = false
    const stop = webhooks.stop().then(() => {
      stopped = true
    })
    await stage.clock.advance(SECOND)
    expect(stopped).toBe(false)
    await stage.clock.advance(SECOND)
    await stop
    await store.close()
    const again = await openOn(stage)
    expect(await deliveriesOf(again.webhooks, id)).toMatchObject([
      { status: 'pending', attempts: 0 },
    ])
    stage.mailbox.answer = () => says(200)
    await again.webhooks.start()
    await stage.clock.advance(0)
    expect(stage.mailbox.got).toHaveLength(2)
    expect(stage.logged).toEqual([])
  })

  it('is not sent while the disk cannot be told', async () => {
    const backend = new StubBackend()
    const stage = newStage({ backend })
    const { webhooks, store } = await openOn(stage)
    await endpoint(webhooks, url)
    webhooks.emit(event(1))
    await settled()
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    await expect(store.commit(store.batch())).rejects.toThrow()
    await webhooks.start()
    await stage.clock.advance(HOUR)
    expect(stage.mailbox.got).toEqual([])
  })
})
