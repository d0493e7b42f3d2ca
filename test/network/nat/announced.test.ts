import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { announced, relayOf } from '../../../src/network/host/nat/announced.ts'
import {
  judge,
  type Observation,
  outerHost,
  outerPort,
} from '../../../src/network/host/nat/reachability.ts'

const R = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const S = '12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba'
const through = (host: string, relay = R) => `/ip4/${host}/tcp/7463/p2p/${relay}/p2p-circuit`
const direct = (host: string) => `/ip4/${host}/tcp/7463`
const texts = (...all: string[]) =>
  announced(all.map((text) => multiaddr(text))).map((address) => address.toString())

test('what leads here from everywhere is said first', () => {
  expect(
    texts(direct('127.0.0.1'), direct('10.0.0.2'), through('60.0.0.1'), direct('61.0.0.1')),
  ).toEqual([direct('61.0.0.1'), through('60.0.0.1'), direct('127.0.0.1'), direct('10.0.0.2')])
})

test('of a relay’s addresses few are said, and local ones only where it has no other', () => {
  const open = ['60.0.0.1', '60.0.0.2', '60.0.0.3'].map((host) => through(host))
  expect(texts(through('127.0.0.1'), through('10.0.0.9'), ...open)).toEqual(open.slice(0, 2))
  expect(texts(through('127.0.0.1'), through('10.0.0.9'))).toEqual([through('10.0.0.9')])
  expect(texts(through('127.0.0.1'))).toEqual([through('127.0.0.1')])
  expect(texts(through('10.0.0.9'), through('60.0.0.1', S))).toHaveLength(2)
})

test('whose relay an address leads through', () => {
  expect(relayOf(through('60.0.0.1'))).toBe(R)
  expect(relayOf(`${through('60.0.0.1')}/p2p/${S}`)).toBe(R)
  expect(relayOf(`${direct('60.0.0.1')}/p2p/${S}`)).toBeUndefined()
})

test.each([
  [{ cameIn: false, translated: false, refused: false }, 'unknown'],
  [{ cameIn: false, translated: true, refused: false }, 'private'],
  [{ cameIn: false, translated: false, refused: true }, 'private'],
  [{ cameIn: true, translated: true, refused: true }, 'public'],
])('%j makes it %s', (evidence, verdict) => {
  expect(judge(evidence)).toBe(verdict)
})

const seen = (host: string, port: number, fromPunchPort = true): Observation => ({
  host,
  port,
  fromPunchPort,
})

test('this peer is where most see it', () => {
  expect(outerHost([])).toBeUndefined()
  expect(outerHost([seen('6.6.6.6', 1), seen('61.0.0.1', 1), seen('61.0.0.1', 2)])).toBe('61.0.0.1')
})

test('a hole can be punched where all see the same port of it', () => {
  const hole = seen('61.0.0.1', 4000)
  expect(outerPort([])).toBeUndefined()
  expect(outerPort([hole, seen('61.0.0.1', 9, false), seen('61.0.0.1', 4000)])).toEqual(hole)
  expect(outerPort([hole, seen('61.0.0.1', 4001)])).toBeUndefined()
  expect(outerPort([hole, hole, seen('6.6.6.6', 1)])).toEqual(hole)
  expect(outerPort([seen('61.0.0.1', 9, false)])).toBeUndefined()
})
