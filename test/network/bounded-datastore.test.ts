import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BoundedDatastore } from '../../src/network/host/bounded-datastore.ts'
import { storeLimits } from '../../src/network/host/limits.ts'

type Key = Parameters<BoundedDatastore['put']>[0]
/** libp2p's own key class is none of our dependencies; this is all of it that is used. */
const keyOf = (name: string) => ({ toString: () => name }) as Key
const value = new Uint8Array([1])
/** As a peer of the test names it. */
const netOf = (peerId: string) => peerId.split('-')[0] ?? ''
const names = (store: BoundedDatastore, prefix: string) =>
  [...store.queryKeys({ prefix })].map((key) => key.toString())

test('each kind has its bound, the least used goes first, this peer itself never', () => {
  const store = new BoundedDatastore((name) => name === '/peers/self', netOf)
  store.put(keyOf('/peers/self'), value)
  store.put(keyOf('/peers/friend'), value)
  for (let index = 0; index < 2 * storeLimits.peersMax; index++) {
    store.put(keyOf(`/peers/${index}`), value)
    if (index % 1000 === 0) store.get(keyOf('/peers/friend'))
  }
  expect(names(store, '/peers/')).toHaveLength(storeLimits.peersMax)
  expect(store.has(keyOf('/peers/self'))).toBe(true)
  expect(store.has(keyOf('/peers/friend'))).toBe(true)
  expect(store.has(keyOf('/peers/0'))).toBe(false)

  for (let index = 0; index < storeLimits.providersMax + 10; index++) {
    store.put(keyOf(`/dht/provider/${index}/${index % 100}-x`), value)
  }
  expect(names(store, '/dht/provider/')).toHaveLength(storeLimits.providersMax)
  expect(names(store, '/peers/')).toHaveLength(storeLimits.peersMax)
})

test('what is too large or of no kind is not kept, what is unknown is said in libp2p words', () => {
  const store = new BoundedDatastore(() => false, netOf)
  const large = new Uint8Array(storeLimits.valueBytesMax + 1)
  expect(() => store.put(keyOf('/dht/record/x'), large)).toThrow(
    expect.objectContaining({ code: 'too_large' }),
  )
  expect(() => store.put(keyOf('/elsewhere/x'), value)).toThrow()
  expect(() => store.get(keyOf('/peers/x'))).toThrow(
    expect.objectContaining({ name: 'NotFoundError' }),
  )
  expect(store.size).toBe(0)
})

test('below its bounds it is a map', () => {
  const name = fc
    .tuple(
      fc.constantFrom('/peers/', '/dht/provider/a/', '/dht/record/'),
      fc.constantFrom('x', 'y', 'z'),
    )
    .map((parts) => parts.join(''))
  const step = fc.tuple(
    fc.constantFrom('put', 'delete', 'batch'),
    name,
    fc.uint8Array({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const store = new BoundedDatastore(() => false, netOf)
      const model = new Map<string, Uint8Array>()
      for (const [what, key, bytes] of steps) {
        if (what === 'put') store.put(keyOf(key), bytes)
        else if (what === 'delete') store.delete(keyOf(key))
        else {
          const batch = store.batch()
          batch.put(keyOf(key), bytes)
          batch.commit()
        }
        if (what === 'delete') model.delete(key)
        else model.set(key, bytes)
      }
      const kept = [...store.query({})].map((pair) => [pair.key.toString(), pair.value])
      expect(new Map(kept as [string, Uint8Array][])).toEqual(model)
      expect(names(store, '/dht/').every((key) => key.startsWith('/dht/'))).toBe(true)
    }),
  )
})

test('a hundred thousand providers of one key do not push out those of elsewhere', () => {
  const store = new BoundedDatastore(() => false, netOf)
  const put = (key: string, peerId: string) =>
    store.put(keyOf(`/dht/provider/${key}/${peerId}`), value)
  for (let n = 0; n < 5; n++) put('m', `${n}-honest`)
  for (let n = 0; n < 100_000; n++) put('m', `sybil-${n}`)
  expect(names(store, '/dht/provider/m/')).toHaveLength(storeLimits.providersPerKeyMax)
  for (let n = 0; n < 5; n++) expect(store.has(keyOf(`/dht/provider/m/${n}-honest`))).toBe(true)
  put('m', 'late-honest')
  expect(store.has(keyOf('/dht/provider/m/late-honest'))).toBe(true)
  // In one net, those that say so again stay.
  put('m', 'sybil-99990')
  for (let n = 0; n < 50; n++) put('m', `sybil-fresh ${n}`)
  expect(store.has(keyOf('/dht/provider/m/sybil-99990'))).toBe(true)
})

test('nor do those of any number of keys', () => {
  const store = new BoundedDatastore(() => false, netOf)
  const put = (key: string, peerId: string) =>
    store.put(keyOf(`/dht/provider/${key}/${peerId}`), value)
  put('m', 'elsewhere-honest')
  for (let n = 0; n < 50_000; n++) put(`made up ${n % 5_000}`, `sybil-${n}`)
  expect(names(store, '/dht/provider/')).toHaveLength(1 + storeLimits.providersPerNetMax)
  expect(store.has(keyOf('/dht/provider/m/elsewhere-honest'))).toBe(true)
  store.delete(keyOf('/dht/provider/m/elsewhere-honest'))
  expect(names(store, '/dht/provider/m/')).toEqual([])
})
