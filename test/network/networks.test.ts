import { afterEach, expect, test } from 'vitest'
import { eventually, newHost, recorder, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

test('networks share no protocol, and a peer of another one is sent away', async () => {
  const one = await startHost({ network: 'one' })
  const { logger, lines } = recorder()
  const other = await startHost({ network: 'other', bootstrap: one.status().addrs }, { logger })

  const ofOne = one.node.getProtocols()
  const ofOther = other.node.getProtocols()
  expect(ofOne).toEqual(expect.arrayContaining(['/pinaivu/one/kad/1.0.0', '/pinaivu/one/id/1.0.0']))
  expect(ofOne).toContain('/pinaivu/one/meshsub/1.2.0')
  expect(ofOne.every((id) => id.startsWith('/pinaivu/one/'))).toBe(true)
  expect(ofOther.every((id) => id.startsWith('/pinaivu/other/'))).toBe(true)
  expect(one.topic('log/1')).not.toBe(other.topic('log/1'))

  const warnings = () => lines.filter((line) => line.level === 'warn')
  await eventually(() => warnings().length > 0)
  await eventually(() => one.status().connections + other.status().connections === 0)
  expect(warnings()).toEqual([
    {
      level: 'warn',
      message: expect.stringContaining('--network'),
      data: expect.objectContaining({ error: expect.stringContaining('does not speak') }),
    },
  ])
  expect(one.node.services.pubsub.getPeers()).toEqual([])
})

test('a peer of another network is never seen, whoever dials', async () => {
  const one = await startHost({ network: 'one' })
  const other = await startHost({ network: 'other' })
  const events: unknown[] = []
  for (const host of [one, other]) host.onConnection((event) => events.push(event))
  const wait = () => ({ signal: AbortSignal.timeout(5_000) })
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const { peerId, addrs } = to.status()
    await expect(from.connect(peerId, addrs, wait())).rejects.toMatchObject({
      code: 'not_of_this_network',
    })
    await expect(from.open(peerId, 'generate/1', wait())).rejects.toThrow()
  }
  await eventually(
    () => one.node.getConnections().length + other.node.getConnections().length === 0,
  )
  expect(events).toEqual([])
  expect([...one.connected(), ...other.connected()]).toEqual([])
})

test.each(['', 'Main', 'a b', '../x', 'x'.repeat(41), 'a/b', 'ä', '-a'])(
  'the network name %j is refused',
  async (network) => {
    await expect(newHost({ network })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'network',
    })
  },
)
