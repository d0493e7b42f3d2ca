import { expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { eventually } from './hosts.ts'
import { bytes, echo, idOf, limits, type Tools, text, wait } from './network-suite-tools.ts'

export function framing({ pair }: Tools): void {
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

export function limiting({ pair }: Tools): void {
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
