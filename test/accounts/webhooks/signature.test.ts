import OpenAI from 'openai'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { Webhooks } from '../../../src/accounts/webhooks/webhooks.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { openMemoryStore } from '../../../src/storage/store.ts'
import { certPem, keyPem } from '../../api/certificate.ts'
import { startReceiver } from './receiver.ts'
import { DAY, endpoint, event, HOUR, newStage, openOn } from './stage.ts'

type Headers = Record<string, string>

const openai = new OpenAI({ apiKey: 'unused' })
const readers = {
  standardwebhooks: async (body: string, headers: Headers, secret: string) =>
    new Webhook(secret).verify(body, headers),
  openai: (body: string, headers: Headers, secret: string) =>
    openai.webhooks.unwrap(body, headers, secret),
}

describe.each(Object.entries(readers))('%s', (_name, read) => {
  it('takes a delivery that came over HTTPS, and refuses one that was changed', async () => {
    const receiver = await startReceiver(undefined, { cert: certPem, key: keyPem })
    const store = await openMemoryStore({ logger: silentLogger })
    const components = { store, clock: systemClock, random: systemRandom, ca: certPem }
    const webhooks = await Webhooks.open(
      { ...components, logger: silentLogger, metrics: noMetrics },
      { userAgent: 'test/1', poster: { allowPrivate: true } },
    )
    await webhooks.start()
    const { id, secret } = await endpoint(webhooks, `https://localhost:${receiver.port}/hook`)
    webhooks.emit(event(1))
    await expect.poll(() => receiver.got.length).toBe(1)
    await expect.poll(() => webhooks.get('ada', id).lastSuccessAt).not.toBeNull()
    await webhooks.stop()
    await store.close()

    const { body = '', headers = {} } = receiver.got[0] ?? {}
    const sent = headers as Headers
    expect(await read(body, sent, secret)).toMatchObject({
      object: 'event',
      id: headers['webhook-id'],
      type: 'chat.completed',
      data: { object: { id: 'chat_1' } },
    })
    const other = `whsec_${Buffer.alloc(32).toString('base64')}`
    await expect(read(body, sent, other)).rejects.toThrow()
    await expect(read(body.replace('chat_1', 'chat_2'), sent, secret)).rejects.toThrow()
    await expect(read(body, { ...sent, 'webhook-id': 'evt_x' }, secret)).rejects.toThrow()
    const late = `${Number(sent['webhook-timestamp']) - 301}`
    await expect(read(body, { ...sent, 'webhook-timestamp': late }, secret)).rejects.toThrow()
  })
})

describe('a rotation', () => {
  it('has both secrets sign for a day, then the new one alone', async () => {
    const stage = newStage()
    const { webhooks } = await openOn(stage)
    await webhooks.start()
    const first = await endpoint(webhooks, 'https://ada.example/')
    const second = await webhooks.rotate('ada', first.id)
    expect(second.secret).not.toBe(first.secret)
    expect(second.previous).toEqual({ secret: first.secret, until: stage.clock.now() + DAY })
    /** Which of these secrets signed what is sent now. */
    const works = async (...secrets: string[]) => {
      webhooks.emit(event(1))
      await stage.clock.advance(0)
      const { body = '', headers = {}, id = '', at = 0 } = stage.mailbox.got.at(-1) ?? {}
      const signed = headers['webhook-signature']?.split(' ')
      return secrets.map((secret) =>
        signed?.includes(new Webhook(secret).sign(id, new Date(at), body)),
      )
    }
    expect(await works(first.secret, second.secret)).toEqual([true, true])
    await stage.clock.advance(23 * HOUR)
    expect(await works(first.secret, second.secret)).toEqual([true, true])
    const third = await webhooks.rotate('ada', first.id)
    expect(await works(first.secret, second.secret, third.secret)).toEqual([false, true, true])
    await stage.clock.advance(DAY)
    expect(await works(first.secret, second.secret, third.secret)).toEqual([false, false, true])
  })
})
