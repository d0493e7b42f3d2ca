import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import type { Advert, AdvertModel } from '../../src/wire/advert.ts'
import {
  openAdvert,
  openDeparture,
  signAdvert,
  signDeparture,
} from '../../src/wire/advert-codec.ts'
import { advertShape } from '../../src/wire/advert-shape.ts'
import { openJob, signJob } from '../../src/wire/generate-codec.ts'
import { jobShape } from '../../src/wire/generate-shape.ts'
import { decode, encode } from '../../src/wire/shape.ts'
import { advert, me, other, wireJob } from './arbitraries.ts'
import { refusalOf } from './hostile.ts'
import { varint } from './vectors/raw.ts'

const network = 'tests'
const signing = { network, sign: (message: Uint8Array) => me.sign(message) }
const opening = { network, verify: createVerifyNative() }
const ends = { ...opening, coordinator: me.peerId, provider: other.peerId }

describe('a signature', () => {
  const one = <T>(any: fc.Arbitrary<T>): T => fc.sample(any, { seed: 1, numRuns: 1 })[0] as T

  it('is checked over the bytes as they came, unknown fields included', () => {
    const payload = Buffer.concat([encode(jobShape, flatJob()), Uint8Array.of(0xf8, 0x07, 5)])
    const prefix = Buffer.from(`PNV1|job|${network}|`)
    const signature = me.sign(Buffer.concat([prefix, payload]))
    expect(openJob({ payload, signature }, ends).jobId).toBe('job_1.1')
    const without = payload.subarray(0, -3)
    expect(refusalOf(() => openJob({ payload: without, signature }, ends))?.code).toBe(
      'bad_signature',
    )
  })

  it('counts for one network, one kind of record and one peer', () => {
    const value = one(advert)
    const bytes = signAdvert(value, signing)
    expect(openAdvert(bytes, { ...opening, from: me.peerId })).toEqual(value)
    expect(openAdvert(bytes, opening)).toEqual(value)
    const elsewhere = { ...opening, network: 'other' }
    expect(refusalOf(() => openAdvert(bytes, elsewhere))?.code).toBe('bad_signature')
    const foreign = { ...opening, from: other.peerId }
    expect(refusalOf(() => openAdvert(bytes, foreign))?.code).toBe('not_yours')
    const inOurName = signAdvert(value, { network, sign: (message) => other.sign(message) })
    expect(refusalOf(() => openAdvert(inOurName, opening))?.code).toBe('bad_signature')

    const leaving = signDeparture({ peerId: me.peerId, sequence: 7 }, signing)
    expect(openDeparture(leaving, opening)).toEqual({ peerId: me.peerId, sequence: 7 })
    expect(refusalOf(() => openDeparture(bytes, opening))?.code).toBe('bad_signature')
  })

  it('of a job counts between its two ends alone', () => {
    const value = one(wireJob)
    const job = signJob(value, signing)
    expect(openJob(job, ends)).toEqual(value)
    const replayed = { ...ends, coordinator: other.peerId }
    expect(refusalOf(() => openJob(job, replayed))?.code).toBe('not_yours')
    const elsewhere = { ...ends, provider: me.peerId }
    expect(refusalOf(() => openJob(job, elsewhere))?.code).toBe('not_for_me')
    const forged = signJob(value, { network, sign: (message) => other.sign(message) })
    expect(refusalOf(() => openJob(forged, ends))?.code).toBe('bad_signature')
  })

  it('counts for nobody whose peer id holds no key', () => {
    const noKey = `12D3Koo${'1'.repeat(45)}`
    const payload = encode(jobShape, { ...flatJob(), coordinator: noKey })
    const job = { payload, signature: new Uint8Array(64) }
    expect(refusalOf(() => openJob(job, { ...ends, coordinator: noKey }))?.code).toBe(
      'bad_signature',
    )
  })

  function flatJob() {
    const { maxPrice: _, ...job } = { ...one(wireJob), jobId: 'job_1.1' }
    return { ...job, priceCapped: false, maxPriceInput: 0, maxPriceOutput: 0 }
  }
})

describe('an advert', () => {
  const [value] = fc.sample(advert, { seed: 3, numRuns: 1 }) as [Advert]
  const opened = (changes: object) => {
    const flat = { ...value, region: '', models: [], ...changes }
    const payload = encode(advertShape, flat as never)
    const shape = decode(advertShape, payload, 8192)
    expect(shape).toEqual(flat)
    const signature = signing.sign(Buffer.concat([Buffer.from(`PNV1|advert|${network}|`), payload]))
    const bytes = Buffer.concat([
      Uint8Array.of(0x0a),
      varint(BigInt(payload.length)),
      payload,
      Uint8Array.of(0x12, 64),
      signature,
    ])
    return openAdvert(bytes, opening)
  }

  it('may have addresses of other transports, which are passed over', () => {
    const addresses = [
      '/ip4/1.2.3.4/udp/1/quic-v1',
      '/ip4/1.2.3.4/tcp/7463',
      '/ip4/1.2.3.4/tcp/1/ws',
    ]
    expect(opened({ addresses }).addresses).toEqual(['/ip4/1.2.3.4/tcp/7463'])
  })

  it('is not signed when others would refuse it', () => {
    const tooMany = Array.from({ length: 17 }, () => '/ip4/127.0.0.1/tcp/1')
    expect(() => signAdvert({ ...value, addresses: tooMany }, signing)).toThrow(/Advert.addresses/)
    const loud = { ...value.hardware, cpu: 'two\nlines' }
    expect(() => signAdvert({ ...value, hardware: loud }, signing)).toThrow(/Hardware.cpu/)
    const long = Array.from({ length: 16 }, () => ({
      name: 'x'.repeat(128),
      vramTotalBytes: 0,
      vramFreeBytes: 0,
    }))
    const models = Array.from({ length: 60 }, () => ({
      ...(fc.sample(advert, 50).flatMap((some) => some.models)[0] as AdvertModel),
      family: 'x'.repeat(128),
    }))
    const large = { ...value, models, hardware: { ...value.hardware, gpus: long } }
    expect(() => signAdvert(large, signing)).toThrow(/longer than 8192/)
  })
})
