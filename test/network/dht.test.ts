import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { afterEach, expect, test } from 'vitest'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { eventually, startHosts, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const text = new TextEncoder()
const signal = () => AbortSignal.timeout(5_000)

async function twoInTheDht() {
  const hosts = (await startHosts(2)) as [Libp2pHost, Libp2pHost]
  const sizes = () =>
    hosts.map(
      ({ node }) =>
        (node.services.dht as unknown as { routingTable: { size: number } }).routingTable.size,
    )
  await eventually(() => sizes().every((size) => size === 1))
  return hosts
}

async function put(host: Libp2pHost, key: Uint8Array, value: Uint8Array) {
  const events = []
  for await (const event of host.node.services.dht.put(key, value, { signal: signal() })) {
    events.push(event.name)
  }
  return events
}

async function valuesOf(host: Libp2pHost, key: Uint8Array) {
  const values = []
  for await (const event of host.node.services.dht.get(key, { signal: signal() })) {
    if (event.name === 'VALUE') values.push(event.value)
  }
  return values
}

test('a record of an unknown namespace is refused by whoever is asked to keep it', async () => {
  const [a, b] = await twoInTheDht()
  const key = text.encode('/anything/key')
  expect(await put(b, key, text.encode('value'))).toContain('QUERY_ERROR')
  expect(await valuesOf(a, key).catch(() => [])).toEqual([])
  expect(await valuesOf(b, key).catch(() => [])).toEqual([])
})

test('a public key, which libp2p would keep for anybody, is refused as well', async () => {
  const [a, b] = await twoInTheDht()
  const { publicKey } = await generateKeyPair('Ed25519')
  const key = Uint8Array.from([...text.encode('/pk/'), ...publicKey.toMultihash().bytes])
  expect(await put(b, key, publicKeyToProtobuf(publicKey))).toContain('QUERY_ERROR')
  expect(await valuesOf(a, key).catch(() => [])).toEqual([])
})
