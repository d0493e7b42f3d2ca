import { afterEach, describe, expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type {
  ConnectionEvent,
  FrameStream,
  Network,
  RecordCheck,
} from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { at, eventually } from './hosts.ts'

/** Makes networks that can reach each other, none of them started. */
export interface Networks {
  /** `first` is there already; the others know nobody. */
  make(options: { records: Readonly<Record<string, RecordCheck>> }): Promise<Network>
  /** Stops all that were made. */
  end(): Promise<void>
}

const wait = (ms = 5_000) => ({ signal: AbortSignal.timeout(ms) })
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (frame: Uint8Array | undefined) => frame && new TextDecoder().decode(frame)
const limits = { streamsMax: 8, opensPerSecond: 100 }

/** A record is its sequence and then the peer's id; a `!` at its end makes it a forged one. */
const check: RecordCheck = (peerId, value) => {
  const [sequence, author] = new TextDecoder().decode(value).split(' ')
  if (author !== peerId) throw new PeerError('bad_signature', 'not by that peer')
  return Number(sequence)
}

async function echo(stream: FrameStream) {
  for (;;) {
    const frame = await stream.read(wait())
    if (frame === undefined) return
    await stream.writable(wait())
    stream.write(frame)
  }
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
      const [a, b] = await begin(2, prepare)
      await link(at([a], 0) as Network, b as Network)
      return [a, b] as [Network, Network]
    }
    afterEach(() => world.end())

    connecting({ begin, link, pair })
    framing({ begin, link, pair })
    limiting({ begin, link, pair })
    finding({ begin, link, pair })
  })
}

interface Tools {
  begin(count: number, prepare?: (network: Network, index: number) => void): Promise<Network[]>
  link(a: Network, b: Network): Promise<void>
  pair(prepare?: (network: Network, index: number) => void): Promise<[Network, Network]>
}

const idOf = (network: Network) => network.status().peerId

function connecting({ begin, pair }: Tools): void {
  test('a connection is known on both sides, told once, and gone when it is ended', async () => {
    const events: [number, ConnectionEvent][] = []
    const [a, b] = await pair((network, index) => {
      network.onConnection((event) => events.push([index, event]))
    })
    expect([a.connected(), b.connected()]).toEqual([[idOf(b)], [idOf(a)]])
    await a.connect(idOf(b), [], wait())
    expect(a.status().connections).toBe(1)
    await b.disconnect(idOf(a))
    await eventually(() => !a.isConnected(idOf(b)) && !b.isConnected(idOf(a)))
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

function framing({ pair }: Tools): void {
  test('frames of any size arrive whole and in order, and the end after them', async () => {
    const [a, b] = await pair()
    const stream = await a.open(idOf(b), 'echo/1', wait())
    expect(stream.peerId).toBe(idOf(b))
    const sizes = [1, 127, 128, 16_383, 16_384, FRAME_BYTES_MAX]
    const frames = sizes.map((size, index) => new Uint8Array(size).fill(index + 1))
    for (const frame of frames) stream.write(frame)
    await stream.close()
    for (const frame of frames) expect(await stream.read(wait())).toEqual(frame)
    expect(await stream.read(wait())).toBeUndefined()
    await eventually(() => stream.ended.aborted)
    expect(() => stream.write(bytes('late'))).toThrow(
      expect.objectContaining({ code: 'stream_closed' }),
    )
  })

  test('no frame is empty or larger than the limit', async () => {
    const [a, b] = await pair()
    const stream = await a.open(idOf(b), 'echo/1', wait())
    for (const size of [0, FRAME_BYTES_MAX + 1]) {
      expect(() => stream.write(new Uint8Array(size))).toThrow(
        expect.objectContaining({ code: 'bad_frame' }),
      )
    }
    stream.write(bytes('fine'))
    expect(text(await stream.read(wait()))).toBe('fine')
  })

  test('a writer waits for a reader that does not read, and loses nothing', async () => {
    const read = Promise.withResolvers<void>()
    let received = 0
    const [a, b] = await pair((network) => {
      network.handle(
        'sink/1',
        async (stream) => {
          await read.promise
          while ((await stream.read(wait())) !== undefined) received++
        },
        limits,
      )
    })
    const stream = await a.open(idOf(b), 'sink/1', wait())
    const frame = new Uint8Array(32 * 1024)
    let written = 0
    const full = async () => {
      for (;;) {
        await stream.writable({ signal: AbortSignal.timeout(300) })
        stream.write(frame)
        written++
      }
    }
    await expect(full()).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(written * frame.length).toBeLessThan(8 * 1024 * 1024)
    read.resolve()
    for (let more = 0; more < 200; more++) {
      await stream.writable(wait())
      stream.write(frame)
    }
    await stream.close()
    await eventually(() => received === written + 200)
  })

  test('a reset reaches the other side, as an error and as the end', async () => {
    const seen = Promise.withResolvers<{ error: unknown; ended: boolean }>()
    const [a, b] = await pair((network) => {
      network.handle(
        'wait/1',
        async (stream) => {
          stream.write(bytes('go'))
          await stream.read(wait()).catch((error: unknown) => {
            seen.resolve({ error, ended: stream.ended.aborted })
          })
        },
        limits,
      )
    })
    const stream = await a.open(idOf(b), 'wait/1', wait())
    expect(text(await stream.read(wait()))).toBe('go')
    stream.reset(new Error('changed my mind'))
    expect(stream.ended.aborted).toBe(true)
    await expect(stream.read(wait())).rejects.toThrow('changed my mind')
    expect(() => stream.write(bytes('x'))).toThrow('changed my mind')
    expect(await seen.promise).toMatchObject({ error: { code: 'stream_reset' }, ended: true })
  })

  test('a handler that fails resets its stream, one that returns ends its part', async () => {
    const [a, b] = await pair((network) => {
      network.handle('fail/1', () => Promise.reject(new PeerError('no', 'no')), limits)
      network.handle('bye/1', async (stream) => stream.write(bytes('bye')), limits)
    })
    const failed = await a.open(idOf(b), 'fail/1', wait())
    await expect(failed.read(wait())).rejects.toMatchObject({ code: 'stream_reset' })
    const ended = await a.open(idOf(b), 'bye/1', wait())
    expect(text(await ended.read(wait()))).toBe('bye')
    expect(await ended.read(wait())).toBeUndefined()
    await ended.close()
    await eventually(() => ended.ended.aborted)
  })

  test('a protocol that the other does not speak is said to be none', async () => {
    const [a, b] = await pair()
    await expect(a.open(idOf(b), 'other/1', wait())).rejects.toMatchObject({
      code: 'unsupported_protocol',
    })
  })

  test('protocols are handled from the start', async () => {
    const [a] = await pair()
    expect(() => a.handle('late/1', echo, limits)).toThrow(
      expect.objectContaining({ code: 'already_started' }),
    )
  })
}

function limiting({ pair }: Tools): void {
  test('one peer has so many streams of a protocol at once, and a place is free again after', async () => {
    const [a, b] = await pair((network) => {
      network.handle('few/1', echo, { streamsMax: 2, opensPerSecond: 100 })
    })
    const open = () => a.open(idOf(b), 'few/1', wait())
    const [one, two, three] = [await open(), await open(), await open()]
    await expect(three.read(wait())).rejects.toMatchObject({ code: 'stream_reset' })
    for (const stream of [one, two]) {
      stream.write(bytes('served'))
      expect(text(await stream.read(wait()))).toBe('served')
    }
    await one.close()
    expect(await one.read(wait())).toBeUndefined()
    const works = async () => {
      const stream = await open()
      stream.write(bytes('again'))
      return text(await stream.read(wait()).catch(() => undefined))
    }
    await expect.poll(works).toBe('again')
  })

  test('one that opens too fast is refused the excess', async () => {
    const [a, b] = await pair((network) => {
      network.handle('slow/1', echo, { streamsMax: 100, opensPerSecond: 4 })
    })
    const ask = async () => {
      const stream = await a.open(idOf(b), 'slow/1', wait())
      stream.write(bytes('x'))
      return await stream.read(wait())
    }
    const asked = await Promise.allSettled(Array.from({ length: 40 }, ask))
    const served = asked.filter(({ status }) => status === 'fulfilled').length
    expect(served).toBeGreaterThanOrEqual(4)
    expect(served).toBeLessThan(40)
  })

  test('a peer that is told off for good is cut off and not let in again', async () => {
    const [a, b] = await pair()
    const { addrs } = b.status()
    b.fault(idOf(a), 'ignore', 'a slip')
    expect(b.isConnected(idOf(a))).toBe(true)
    b.fault(idOf(a), 'disconnect', 'a lie')
    await eventually(() => !a.isConnected(idOf(b)) && !b.isConnected(idOf(a)))
    await a.connect(idOf(b), addrs, wait()).catch(() => {})
    await eventually(() => !a.isConnected(idOf(b)))
    await expect(b.connect(idOf(a), a.status().addrs, wait())).rejects.toThrow()
    expect(b.isConnected(idOf(a))).toBe(false)
  })

  test('a handler that throws what deserves it has its peer cut off', async () => {
    const [a, b] = await pair((network) => {
      const error = new PeerError('forged', 'forged', { action: 'disconnect' })
      network.handle('judge/1', () => Promise.reject(error), limits)
    })
    await a.open(idOf(b), 'judge/1', wait()).catch(() => {})
    await eventually(() => !b.isConnected(idOf(a)))
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
