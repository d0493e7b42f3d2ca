import { encode } from 'dns-packet'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  lanAnswer,
  lanQuestion,
  readLanMessage,
  serviceOf,
} from '../../src/network/host/lan-messages.ts'

const service = serviceOf('test')
const peerId = '12D3KooWKegwLjZtwDMRqPDHVRpwAWqLHkYsBSitsQgJ4RybMqyc'
const other = '12D3KooWSuqnJVDeZzHp7AouddEDSntjEnMF5STdwDZJpb7GVCwU'
const address = (host: string, id = peerId) => `/ip4/${host}/tcp/7463/p2p/${id}`
const addresses = [address('10.0.0.1'), address('192.168.1.1')]

const answer = (texts: readonly string[]) =>
  encode({
    type: 'response',
    answers: [
      { name: service, type: 'PTR', data: `any.${service}` },
      { name: `any.${service}`, type: 'TXT', data: [...texts] },
    ],
  })

describe('a message on the local network', () => {
  test('is read as it was said', () => {
    expect(readLanMessage(lanQuestion(service), service)).toEqual({ type: 'question' })
    const said = lanAnswer(service, { peerId, addresses })
    expect(readLanMessage(said, service)).toEqual({ type: 'answer', peerId, addresses })
    // As it comes from a socket: a part of something larger.
    const larger = Buffer.concat([Buffer.alloc(7), said])
    expect(readLanMessage(larger.subarray(7), service)).toMatchObject({ peerId })
  })

  test('of another network, or of a printer, is none', () => {
    for (const name of [serviceOf('test2'), '_ipp._tcp.local']) {
      expect(readLanMessage(lanQuestion(name), service)).toBeUndefined()
      expect(readLanMessage(lanAnswer(name, { peerId, addresses }), service)).toBeUndefined()
    }
    const question = encode({ type: 'query', questions: [{ name: service, type: 'A' }] })
    expect(readLanMessage(question, service)).toBeUndefined()
  })

  test('fits one datagram, however many addresses there are', () => {
    const many = Array.from({ length: 50 }, (_, n) => address(`10.0.0.${n}`))
    const said = lanAnswer(service, { peerId, addresses: [`/dns/${'x'.repeat(250)}`, ...many] })
    expect(said.length).toBeLessThan(1400)
    expect(readLanMessage(said, service)).toMatchObject({ addresses: many.slice(0, 8) })
  })

  test('is of one peer, and bounded', () => {
    const texts = [...addresses, address('10.0.0.3', other)].map((text) => `dnsaddr=${text}`)
    expect(readLanMessage(answer(texts), service)).toEqual({ type: 'answer', peerId, addresses })
    const many = Array.from({ length: 500 }, (_, n) => `dnsaddr=${address(`10.0.1.${n}`)}`)
    expect(readLanMessage(answer(many), service)).toMatchObject({ addresses: { length: 8 } })
    for (const bad of [
      [],
      ['hello'],
      ['dnsaddr='],
      ['dnsaddr=/ip4/10.0.0.1'],
      ['dnsaddr=/p2p/ä'],
    ]) {
      expect(readLanMessage(answer(bad), service)).toBeUndefined()
    }
  })

  test('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        readLanMessage(bytes, service)
      }),
    )
    const good = lanAnswer(service, { peerId, addresses })
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const bytes = good.slice()
        bytes[at] = byte
        readLanMessage(bytes, service)
        readLanMessage(bytes.subarray(0, at), service)
      }),
    )
  })
})
