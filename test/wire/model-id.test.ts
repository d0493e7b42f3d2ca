import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { describe, expect, it } from 'vitest'
import { cidModelId, declaredModelId, lookupKey, parseModelId } from '../../src/wire/model-id.ts'
import {
  address,
  circuitAddress,
  fitting,
  modelId,
  modelName,
  shown,
  tcpAddress,
} from '../../src/wire/rules.ts'
import { me } from './arbitraries.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('the id of a model', () => {
  it('by content is a CID as everybody’s libraries write it, and its only spelling', () => {
    fc.assert(
      fc.property(digest, fc.nat(), fc.nat({ max: 31 }), (sha256, at, letter) => {
        const id = cidModelId(sha256)
        expect(id).toBe(`cid:${CID.createV1(0x55, create(0x12, sha256))}`)
        expect(parseModelId(id)).toEqual({ type: 'cid', sha256 })
        const other = 'abcdefghijklmnopqrstuvwxyz234567'.charAt(letter)
        const place = 4 + (at % (id.length - 4))
        const changed = id.slice(0, place) + other + id.slice(place + 1)
        const parsed = parseModelId(changed)
        if (parsed?.type === 'cid') expect(cidModelId(parsed.sha256)).toBe(changed)
      }),
    )
  })

  it('by declaration holds a name and the peer that declares it', () => {
    const name = fc.stringMatching(/^[!-~]{1,60}$/)
    fc.assert(
      fc.property(name, (text) => {
        const id = declaredModelId(text, me.peerId)
        expect(parseModelId(id)).toEqual({ type: 'declared', name: text, peerId: me.peerId })
      }),
    )
    const longest = declaredModelId('é'.repeat(modelName.bytesMax / 2), me.peerId)
    expect(Buffer.byteLength(longest)).toBe(modelId.bytesMax)
  })

  it.each([
    '',
    'cid:',
    'pinaivu-demo',
    cidModelId(new Uint8Array(31)),
    cidModelId(new Uint8Array(32)).toUpperCase(),
    `${cidModelId(new Uint8Array(32))}\n`,
    `CID:${cidModelId(new Uint8Array(32)).slice(4)}`,
    `cid:${CID.createV1(0x71, create(0x12, new Uint8Array(32)))}`,
    `declared:@${me.peerId}`,
    `declared:two words@${me.peerId}`,
    'declared:name@12D3Koo',
    `declared:name@${me.peerId}x`,
  ])('is not %j', (id) => {
    expect(parseModelId(id)).toBeUndefined()
  })
})

it('one thing in the DHT has one key', () => {
  const key = (...of: Parameters<typeof lookupKey>) => Buffer.from(lookupKey(...of)).toString()
  expect(key('model-name', 'é')).toBe('PNV1|model-name|é')
  expect(key('role', 'archive')).toBe('PNV1|role|archive')
})

describe('texts', () => {
  it('of strangers are made fit to be shown', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const fit = fitting(text, shown)
        expect(shown.pattern.test(fit)).toBe(true)
        expect(Buffer.byteLength(fit)).toBeLessThanOrEqual(shown.bytesMax)
        expect(fitting(fit, shown)).toBe(fit)
      }),
    )
    expect(fitting('NVIDIA\tH200 ✓', shown)).toBe('NVIDIA H200 ✓')
    expect(fitting('\ud800', shown)).toBe('\ufffd')
    expect(fitting(`${'x'.repeat(127)}é`, shown)).toBe('x'.repeat(127))
  })

  it.each([
    ['/ip4/127.0.0.1/tcp/7463', true, true],
    ['/ip6/fe80::1/tcp/1', true, true],
    ['/dns4/a.example/tcp/443', true, true],
    ['/ip4/1.2.3.4/udp/1/quic-v1', true, false],
    ['/ip4/1.2.3.4/tcp/1/p2p/12D3Koo', true, false],
    ['/ip4/1.2.3.4/tcp/123456', true, false],
    ['ip4/1.2.3.4/tcp/1', false, false],
    ['/ip4/1.2.3.4/tcp/1/', false, false],
    ['/ip4//tcp/1', false, false],
    ['/ip4/1.2.3.4/tcp/1\n', false, false],
    ['http://1.2.3.4/', false, false],
  ])('%j is an address: %s, and one of TCP: %s', (text, isAddress, isTcp) => {
    expect(address.pattern.test(text)).toBe(isAddress)
    expect(tcpAddress.test(text)).toBe(isTcp)
  })

  it.each([
    [
      '/ip4/1.2.3.4/tcp/1/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5/p2p-circuit',
      true,
    ],
    ['/ip4/1.2.3.4/tcp/1/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5', false],
    ['/ip4/1.2.3.4/tcp/1/p2p/12D3Koo/p2p-circuit', false],
    [
      '/ip4/1.2.3.4/udp/1/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5/p2p-circuit',
      false,
    ],
    ['/ip4/1.2.3.4/tcp/1/p2p-circuit', false],
  ])('%j leads through a relay: %s', (text, isCircuit) => {
    expect(circuitAddress.test(text)).toBe(isCircuit)
  })
})
