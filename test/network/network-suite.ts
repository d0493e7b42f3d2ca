import { afterEach, describe, expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type { ConnectionEvent, Network, RecordCheck } from '../../src/network/network.ts'
import { at, eventually } from './hosts.ts'
import { framing, limiting } from './network-suite-streams.ts'
import { bytes, echo, idOf, limits, type Tools, text, wait } from './network-suite-tools.ts'
import { topics } from './network-suite-topics.ts'

/** Makes networks that can reach each other. */
export interface Networks {
  /** One that is not started, and knows nobody. */
  make(options: { records: Readonly<Record<string, RecordCheck>> }): Promise<Network>
  /** Stops all that were made. */
  end(): Promise<void>
}

/** A record is its sequence and the id of its peer; with that of another it is forged. */
const check: RecordCheck = (peerId, value) => {
  const [sequence, author] = new TextDecoder().decode(value).split(' ')
  if (author !== peerId) throw new PeerError('bad_signature', 'not by that peer')
  return Number(sequence)
}

/** What every `Network` does, whatever is behind it. */
export function networkSuite(name: string, networks: () => Networks): void {
  describe(name, () => {
    let world: Networks
    const begin = async (
      count: number,
      prepare = (network: Network, _index: number) => {
        network.handle('echo/1', echo, limits)
      },
    ) => {
      world = networks()
      const made: Network[] = []
      for (let index = 0; index < count; index++) {
        const network = await world.make({ records: { note: check } })
        prepare(network, index)
        await network.start(wait())
        made.push(network)
      }
      return made
    }
    const link = async (a: Network, b: Network) => {
      await a.connect(idOf(b), b.status().addrs, wait())
      await eventually(() => b.isConnected(idOf(a)))
    }
    const pair = async (prepare?: Parameters<typeof begin>[1]) => {
      const [a, b] = (await begin(2, prepare)) as [Network, Network]
      await link(a, b)
      return [a, b] as [Network, Network]
    }
    afterEach(() => world.end())

    connecting({ begin, link, pair })
    framing({ begin, link, pair })
    limiting({ begin, link, pair })
    finding({ begin, link, pair })
    topics({ begin, link, pair })
  })
}

function connecting({ begin, pair }: Tools): void {
  test('a connection is known on both sides, told once, and gone when it is ended', async () => {
    const events: [number, ConnectionEvent][] = []
    const [a, b] = await pair((network, index) => {
      network.onConnection((event) => events.push([index, event]))
    })
    expect([a.connected(), b.connected()]).toEqual([[idOf(b)], [idOf(a)]])
    await a.connect(idOf(b), [], wait())
    expect(a.status().connections).toBe(1)
    expect(a.link(idOf(b))).toEqual({ net: '127.0.0', dialled: true })
    expect(b.link(idOf(a))).toEqual({ net: '127.0.0', dialled: false })
    await b.disconnect(idOf(a))
    await eventually(() => !a.isConnected(idOf(b)) && !b.isConnected(idOf(a)))
    expect(a.link(idOf(b))).toBeUndefined()
    const of = (index: number) => events.filter(([by]) => by === index).map(([, event]) => event)
    expect(of(0)).toEqual([true, false].map((connected) => ({ peerId: idOf(b), connected })))
    expect(of(1)).toEqual([true, false].map((connected) => ({ peerId: idOf(a), connected })))
  })

  test('two that dial each other at once are connected, and told so once', async () => {
    const events: string[] = []
    const [a, b] = (await begin(2, (network, index) => {
      network.onConnection(({ connected }) => events.push(`${index} ${connected}`))
    })) as [Network, Network]
    await Promise.all([
      a.connect(idOf(b), b.status().addrs, wait()),
      b.connect(idOf(a), a.status().addrs, wait()),
    ])
    expect([a.isConnected(idOf(b)), b.isConnected(idOf(a))]).toEqual([true, true])
    expect(events.toSorted()).toEqual(['0 true', '1 true'])
  })

  test('nobody is reached without an address of theirs, or at that of another', async () => {
    const [a, b, c] = (await begin(3)) as [Network, Network, Network]
    const unreachable = { code: 'peer_unreachable' }
    await expect(a.connect(idOf(b), [], wait())).rejects.toMatchObject(unreachable)
    const ofC = c.status().addrs.map((address) => address.replace(/\/p2p\/.*/, ''))
    await expect(a.connect(idOf(b), ofC, wait())).rejects.toMatchObject(unreachable)
    await expect(a.connect(idOf(b), c.status().addrs, wait())).rejects.toMatchObject(unreachable)
    await expect(a.ping(idOf(b), wait())).rejects.toMatchObject(unreachable)
    await expect(a.open(idOf(b), 'echo/1', wait())).rejects.toMatchObject(unreachable)
    expect(a.connected()).toEqual([])
  })

  test('a ping takes time, and needs a connection', async () => {
    const [a, b] = await pair()
    expect(await a.ping(idOf(b), wait())).toBeGreaterThanOrEqual(0)
    expect(b.pingedAt(idOf(a))).toBeGreaterThanOrEqual(0)
    await a.disconnect(idOf(b))
    await eventually(() => !a.isConnected(idOf(b)))
    await expect(a.ping(idOf(b), wait())).rejects.toMatchObject({ code: 'peer_unreachable' })
  })

  test('one that stops is gone for the other, its streams fail, and it answers nobody', async () => {
    const [a, b] = await pair()
    const stream = await a.open(idOf(b), 'echo/1', wait())
    const { addrs } = b.status()
    await b.stop()
    await eventually(() => !a.isConnected(idOf(b)))
    expect(stream.ended.aborted).toBe(true)
    await expect(a.connect(idOf(b), addrs, wait())).rejects.toThrow()
    await expect(b.connect(idOf(a), [], wait())).rejects.toMatchObject({ code: 'not_started' })
    expect(b.status()).toMatchObject({ addrs: [], connections: 0, listening: false })
  })

  test('a signal ends a wait with its reason', async () => {
    const [a, b] = await pair()
    const enough = { signal: AbortSignal.abort(new Error('enough')) }
    await expect(a.open(idOf(b), 'echo/1', enough)).rejects.toThrow('enough')
    await expect(a.connect(idOf(b), [], enough)).rejects.toThrow('enough')
    await expect(a.findPeer(idOf(b), enough)).rejects.toThrow('enough')
    const stream = await a.open(idOf(b), 'echo/1', wait())
    const stop = new AbortController()
    const read = stream.read({ signal: stop.signal })
    stop.abort(new Error('no more'))
    await expect(read).rejects.toThrow('no more')
    stream.write(bytes('still there'))
    expect(text(await stream.read(wait()))).toBe('still there')
  })
}

function finding({ begin, link }: Tools): void {
  const key = bytes('a model')

  /** B and C know A alone. */
  const star = async () => {
    const [a, b, c] = (await begin(3)) as [Network, Network, Network]
    await link(b, a)
    await link(c, a)
    return [a, b, c] as const
  }
  const hintsOf = async (network: Network) => {
    const hints = []
    for await (const hint of network.findProviders(key, wait())) hints.push(hint)
    return hints
  }

  test('who provides is found with addresses by those that do not know it, and by itself not', async () => {
    const [, b, c] = await star()
    await b.provide(key, wait())
    const hints = await hintsOf(c)
    expect(hints.map(({ peerId }) => peerId)).toEqual([idOf(b)])
    expect(await hintsOf(b)).toEqual([])
    await c.connect(idOf(b), at(hints, 0).addresses, wait())
    expect(c.isConnected(idOf(b))).toBe(true)
  })

  test('a peer is found by its id', async () => {
    const [, b, c] = await star()
    const addresses = await c.findPeer(idOf(b), wait())
    expect(addresses).toEqual(b.status().addrs.map((address) => address.replace(/\/p2p\/.*/, '')))
    await c.connect(idOf(b), addresses, wait())
    expect(c.isConnected(idOf(b))).toBe(true)
  })

  test('a record is found by its peer, a newer one takes its place, an older one does not', async () => {
    const [, b, c] = await star()
    const put = (sequence: number) => b.putRecord('note', bytes(`${sequence} ${idOf(b)}`), wait())
    const got = async () => text(await c.getRecord('note', idOf(b), wait()))
    expect(await got()).toBeUndefined()
    await put(5)
    expect(await got()).toBe(`5 ${idOf(b)}`)
    await put(6)
    expect(await got()).toBe(`6 ${idOf(b)}`)
    await expect(put(4)).rejects.toMatchObject({ code: 'record_refused' })
    expect(await got()).toBe(`6 ${idOf(b)}`)
  })

  test('a record that its check refuses, or of no known kind, is not put', async () => {
    const [, b, c] = await star()
    const forged = bytes(`1 ${idOf(c)}`)
    await expect(b.putRecord('note', forged, wait())).rejects.toMatchObject({
      code: 'bad_signature',
    })
    await expect(b.putRecord('other', forged, wait())).rejects.toMatchObject({
      code: 'record_refused',
    })
  })

  test('one that is alone is told so', async () => {
    const [a] = (await begin(1)) as [Network]
    const alone = { code: 'alone' }
    await expect(a.provide(key, wait())).rejects.toMatchObject(alone)
    await expect(hintsOf(a)).rejects.toMatchObject(alone)
    await expect(a.findPeer(idOf(a), wait())).rejects.toMatchObject(alone)
  })
}
