import { afterEach, expect, test } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { upnpLimits as limits } from '../../../src/network/host/nat/nat-limits.ts'
import { type OpenPort, Upnp } from '../../../src/network/host/nat/upnp.ts'
import { locationIn } from '../../../src/network/host/nat/upnp-search.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { FakeRouter, type FakeRouterOptions } from './fake-router.ts'

const HERE = '127.0.0.1'
const { signal } = new AbortController()
const routers: FakeRouter[] = []
afterEach(async () => {
  await Promise.all(routers.splice(0).map((router) => router.close()))
})

async function stage(options: Partial<FakeRouterOptions> = {}) {
  const router = new FakeRouter({ outerAddress: '62.0.0.1', ...options })
  routers.push(router)
  await router.listen(HERE)
  const ports: (OpenPort | undefined)[] = []
  const upnp = new Upnp({
    clock: new FakeClock(),
    random: systemRandom,
    logger: silentLogger,
    find: async (ownAddress) => [{ location: router.location, ownAddress }],
    inner: () => [{ host: HERE, port: 7463 }],
    onPort: (open) => ports.push(open),
  })
  return { router, upnp, ports }
}

test('a port is asked for, renewed before it is forgotten, and given back', async () => {
  const { router, upnp, ports } = await stage()
  expect(await upnp.look(signal)).toBeLessThanOrEqual(limits.leaseMs / 2)
  const open = { innerHost: HERE, innerPort: 7463, outerHost: '62.0.0.1', outerPort: 7463 }
  expect(ports).toEqual([open])
  const leaseS = limits.leaseMs / 1000
  expect([...router.mappings]).toEqual([[7463, { inner: HERE, port: 7463, leaseS }]])
  router.mappings.clear()
  await upnp.look(signal)
  expect(router.mappings.has(7463)).toBe(true)
  expect(ports).toEqual([open])
  await upnp.close()
  expect(router.mappings.size).toBe(0)
  expect(router.asked.at(-1)).toBe('DeletePortMapping')
})

test('where the port is somebody else’s, another is taken, and kept', async () => {
  const { router, upnp, ports } = await stage({ taken: [7463] })
  await upnp.look(signal)
  await upnp.look(signal)
  expect(ports.length).toBe(1)
  expect([...router.mappings.keys()]).toEqual([ports[0]?.outerPort])
  await upnp.close()
  expect(router.mappings.size).toBe(0)
})

test('a router that knows no leases forwards until it is told not to', async () => {
  const { router, upnp } = await stage({ permanentOnly: true })
  await upnp.look(signal)
  expect(router.mappings.get(7463)?.leaseS).toBe(0)
  await upnp.close()
  expect(router.mappings.size).toBe(0)
})

test('a router that is behind another one is of no use', async () => {
  const { router, upnp, ports } = await stage({ outerAddress: '10.0.0.7' })
  expect(await upnp.look(signal)).toBe(limits.searchEveryMs)
  expect([ports, router.mappings.size]).toEqual([[], 0])
})

test.each<[string, (own: string) => string]>([
  ['nothing', () => ''],
  ['no end', () => '<service>'.repeat(100_000)],
  ['more than a router has to say', () => 'x'.repeat(2 * limits.descriptionBytesMax)],
  [
    'the address of another',
    () =>
      '<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>' +
      '<controlURL>http://192.0.2.1/ctl</controlURL></service>',
  ],
])('who answers with %s is passed over', async (_, description) => {
  const { router, upnp, ports } = await stage({ description })
  expect(await upnp.look(signal)).toBe(limits.searchEveryMs)
  expect([ports, router.asked]).toEqual([[], []])
})

test('a router that is gone takes its port along', async () => {
  const { router, upnp, ports } = await stage()
  await upnp.look(signal)
  await router.close()
  routers.pop()
  expect(await upnp.look(signal)).toBe(limits.searchEveryMs)
  expect(ports.at(-1)).toBeUndefined()
  await upnp.close()
})

const answer = (lines: string[]) => [...lines, '', ''].join('\r\n')
const st = 'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1'

test.each([
  [['HTTP/1.1 200 OK', st, 'location: http://10.0.0.1:5000/d.xml'], 'http://10.0.0.1:5000/d.xml'],
  [['HTTP/1.1 200 OK', 'ST: upnp:rootdevice', 'LOCATION: http://10.0.0.1/'], undefined],
  [['HTTP/1.1 200 OK', st, 'LOCATION: file:///etc/passwd'], undefined],
  [['HTTP/1.1 200 OK', st, 'LOCATION: ://'], undefined],
  [['HTTP/1.1 404 Not Found', st, 'LOCATION: http://10.0.0.1/'], undefined],
  [['NOTIFY * HTTP/1.1', st, 'LOCATION: http://10.0.0.1/'], undefined],
  [[''], undefined],
])('%j names %s', (lines, location) => {
  expect(locationIn(answer(lines))?.href).toBe(location)
})
