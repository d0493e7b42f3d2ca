import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../../src/accounts/files/media/byte-source.ts'
import { inspect, type Media } from '../../../src/accounts/files/media/media-type.ts'
import { sniff } from '../../../src/accounts/files/media/sniff.ts'
import * as files from './media-files.ts'

function sourceOf(bytes: Buffer): ByteSource {
  return { size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length) }
}

async function looked(bytes: Buffer): Promise<Media | undefined> {
  const container = sniff(bytes.subarray(0, 64))
  return container && inspect(container, sourceOf(bytes))
}

const { png, jpeg, webp, wav, mp4, webm, opus, vorbis, mp3, aac, box, element } = files

describe('what a file is', () => {
  const known: [name: string, bytes: Buffer, kind: string, mimeType: string, ms?: number][] = [
    ['a JPEG', jpeg(), 'image', 'image/jpeg'],
    ['a PNG', png(), 'image', 'image/png'],
    ['a WebP', webp(), 'image', 'image/webp'],
    ['a WAV', wav(12_000), 'audio', 'audio/wav', 1500],
    ['a WAV with tags', wav(8_000, { tags: 33 }), 'audio', 'audio/wav', 1000],
    ['a WAV of a recorder that was cut off', wav(4_000, { size: 0 }), 'audio', 'audio/wav', 500],
    [
      'one that says more than it has',
      wav(4_000, { size: 2 ** 32 - 1 }),
      'audio',
      'audio/wav',
      500,
    ],
    ['a film', mp4(), 'video', 'video/mp4', 2500],
    ['a film with its header at the end', mp4({ late: true }), 'video', 'video/mp4', 2500],
    ['QuickTime', mp4({ brand: 'qt  ' }), 'video', 'video/quicktime', 2500],
    ['sound in an MP4', mp4({ brand: 'M4A ', tracks: ['soun'] }), 'audio', 'audio/mp4', 2500],
    ['the same by a phone', mp4({ brand: 'mp42', tracks: ['soun'] }), 'audio', 'audio/mp4', 2500],
    ['fragments', mp4({ units: 0 }), 'video', 'video/mp4'],
    ['without a scale', mp4({ scale: 0 }), 'video', 'video/mp4'],
    ['a WebM', webm(), 'video', 'video/webm', 1500],
    ['a live WebM', webm({ ms: null }), 'video', 'video/webm'],
    ['a WebM of no length', webm({ ms: Number.NaN }), 'video', 'video/webm'],
    ['a WebM of all time', webm({ ms: 1e18 }), 'video', 'video/webm'],
    ['Opus', opus(), 'audio', 'audio/ogg', 2000],
    ['Vorbis', vorbis(), 'audio', 'audio/ogg', 2000],
    ['an MP3', mp3({ frames: 50 }), 'audio', 'audio/mpeg', 1306],
    ['an MP3 without a tag', mp3({ tag: false }), 'audio', 'audio/mpeg', 522],
    ['AAC', aac({ frames: 100 }), 'audio', 'audio/aac', 2322],
  ]
  it.each(known)('%s', async (_name, bytes, kind, mimeType, durationMs) => {
    expect(await looked(bytes)).toEqual({ kind, mimeType, ...(durationMs && { durationMs }) })
  })

  const none: [name: string, bytes: Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['a page', Buffer.from('<!doctype html><script>alert(1)</script>')],
    ['a drawing with a script', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['an archive', Buffer.from('504b0304', 'hex')],
    ['a program', Buffer.from('7f454c46', 'hex')],
    ['a GIF', Buffer.from('GIF89a')],
    ['a PDF', Buffer.from('%PDF-1.7')],
    ['compressed', Buffer.from('1f8b0800', 'hex')],
    ['HEIC', mp4({ brand: 'heic' })],
    ['Matroska', webm({ docType: 'matroska' })],
    ['a film without a header', Buffer.concat([box('ftyp', Buffer.from('isom0000')), png()])],
    ['a film that is cut off in it', mp4().subarray(0, 120)],
    ['an MP4 without tracks', mp4({ tracks: [] })],
    ['a tag without sound', mp3({ frames: 0 })],
    ['a page behind a tag', Buffer.concat([mp3({ frames: 0 }), Buffer.from('<html>')])],
    ['two bytes of sound', Buffer.from('fff1ffffffffffffff', 'hex')],
    ['Theora', Buffer.concat([vorbis().subarray(0, 28), Buffer.from('\x80theora')])],
    ['a half PNG', png().subarray(0, 10)],
  ]
  it.each(none)('not taken: %s', async (_name, bytes) => {
    expect(await looked(bytes)).toBeUndefined()
  })

  it('looks at any bytes without failing, and reads no more than there is', async () => {
    const samples = known.map(([, bytes]) => bytes)
    const spot = fc.record({ at: fc.nat(4000), byte: fc.integer({ min: 0, max: 255 }) })
    const property = fc.asyncProperty(
      fc.constantFrom(...samples),
      fc.array(spot, { maxLength: 12 }),
      fc.nat(13_000),
      async (sample, spots, length) => {
        const bytes = Buffer.from(sample.subarray(0, length))
        for (const { at, byte } of spots) if (bytes.length > 0) bytes[at % bytes.length] = byte
        const media = await looked(bytes)
        const ms = media?.durationMs
        expect(ms === undefined || (Number.isInteger(ms) && ms >= 0)).toBe(true)
      },
    )
    await fc.assert(property)
  })

  it('gives up on films of endless boxes', async () => {
    const boxes = Array.from({ length: 20_000 }, () => box('free'))
    const bytes = Buffer.concat([box('ftyp', Buffer.from('isom0000')), ...boxes, mp4()])
    const { source, reads } = counted(bytes)
    expect(await inspect('mp4', source)).toBeUndefined()
    expect(reads()).toBeLessThan(5_000)
  })

  it('gives up on a WebM of many parts with many parts', async () => {
    const part = element('1549a966', ...Array.from({ length: 256 }, () => element('ec')))
    const parts = Array.from({ length: 256 }, () => part)
    const segment = Buffer.from('1853806701ffffffffffffff', 'hex')
    const header = element('1a45dfa3', element('4282', Buffer.from('webm')))
    const { source, reads } = counted(Buffer.concat([header, segment, ...parts]))
    expect(await inspect('webm', source)).toMatchObject({ kind: 'video' })
    expect(reads()).toBeLessThan(2_000)
  })
})

function counted(bytes: Buffer) {
  let reads = 0
  const source: ByteSource = {
    size: bytes.length,
    async read(at, length) {
      reads++
      return bytes.subarray(at, at + length)
    },
  }
  return { source, reads: () => reads }
}
