import * as fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { signatures } from '../../src/accounts/webhooks/signature.ts'
import { unwrapWebhook } from '../../src/sdk/index.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { thrownBy } from './scripted-fetch.ts'

const clock = new FakeClock()
const secret = `whsec_${Buffer.from('a secret of an endpoint').toString('base64')}`
const other = `whsec_${Buffer.from('another').toString('base64')}`
const event = { object: 'event', id: 'evt_1', type: 'chat.completed', data: { object: 'Grüße 😀' } }

function delivery(body: string, secrets = [secret], at = clock.now()) {
  const timestamp = Math.floor(at / 1000)
  return {
    'webhook-id': 'evt_1',
    'webhook-timestamp': `${timestamp}`,
    'webhook-signature': signatures({ id: 'evt_1', timestamp, body }, secrets),
  }
}

describe('unwrapWebhook', () => {
  const body = JSON.stringify(event)

  it('gives the event of a delivery, whatever its headers and body are kept in', async () => {
    const headers = delivery(body)
    const capital = { 'Webhook-Id': headers['webhook-id'], ...headers }
    for (const each of [headers, new Headers(headers), new Map(Object.entries(headers)), capital]) {
      for (const text of [body, new TextEncoder().encode(body)]) {
        expect(await unwrapWebhook(text, each, { secret, clock })).toEqual(event)
      }
    }
  })

  it('takes a delivery that is signed with one of several secrets', async () => {
    for (const [signing, known] of [
      [[secret, other], other],
      [[other], [secret, other]],
    ] as const) {
      const headers = delivery(body, [...signing])
      expect(await unwrapWebhook(body, headers, { secret: known, clock })).toEqual(event)
    }
  })

  it('agrees with another implementation', async () => {
    const hook = new Webhook(secret)
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        const at = new Date(clock.now())
        const headers = {
          ...{ 'webhook-id': 'x', 'webhook-timestamp': `${Math.floor(clock.now() / 1000)}` },
          'webhook-signature': hook.sign('x', at, text),
        }
        expect(await unwrapWebhook(text, headers, { secret, clock })).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what was not sent so, or not now', async () => {
    const headers = delivery(body)
    const [signature] = [headers['webhook-signature']]
    const late = 5 * 60_000 + 1000
    const cases: [body: string, headers: Record<string, string>][] = [
      [`${body} `, headers],
      [`\ufeff${body}`, headers],
      [body, delivery(body, [other])],
      [body, delivery(body, [secret], clock.now() - late)],
      [body, delivery(body, [secret], clock.now() + late)],
      [body, { ...headers, 'webhook-id': 'evt_2' }],
      [body, { ...headers, 'webhook-timestamp': 'soon' }],
      [body, { ...headers, 'webhook-signature': signature.replace('v1,', 'v2,') }],
      [body, { ...headers, 'webhook-signature': 'v1,*' }],
      [body, { ...headers, 'webhook-signature': `${'v2,AAAA '.repeat(16)}${signature}` }],
      ...Object.keys(headers).map((name): [string, Record<string, string>] => [
        body,
        { ...headers, [name]: '' },
      ]),
    ]
    for (const [text, each] of cases) {
      expect(await thrownBy(unwrapWebhook(text, each, { secret, clock }))).toMatchObject({
        ...{ name: 'PinaivuError', code: 'invalid_webhook_signature' },
      })
    }
    const patient = { secret, clock, toleranceMs: 2 * late }
    const old = delivery(body, [secret], clock.now() - late)
    expect(await unwrapWebhook(body, old, patient)).toEqual(event)
  })

  it.each(['', 'whsec_', 'sk-pnv-x', 'whsec_*'])('says when a secret is none: %s', async (bad) => {
    const call = unwrapWebhook(body, delivery(body), { secret: bad, clock })
    expect(await thrownBy(call)).toMatchObject({ code: 'invalid_webhook_secret' })
  })
})
