// Small files as recorders and editors write them, with nothing in them.

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const u32le = (value: number) => Buffer.from(u32(value)).reverse()
const text = (value: string) => Buffer.from(value, 'latin1')

/** Noise that is the same for the same seed. */
export function filler(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0, state = seed >>> 0 || 1; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

export const png = (seed = 1, length = 200): Buffer =>
  Buffer.concat([
    Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    u32(1),
    u32(1),
    Buffer.from('0802000000', 'hex'),
    filler(length, seed),
  ])

export const jpeg = (seed = 1): Buffer =>
  Buffer.concat([Buffer.from('ffd8ffe000104a46494600010100', 'hex'), filler(100, seed)])

export const webp = (): Buffer =>
  Buffer.concat([text('RIFF'), u32le(108), text('WEBPVP8 '), filler(96)])

/** One second for each 8,000 bytes of sound. */
export function wav(soundBytes = 12_000, { size = soundBytes, tags = 0 } = {}): Buffer {
  const format = Buffer.from('01000100401f0000401f000001000800', 'hex')
  const list = tags === 0 ? [] : [text('LIST'), u32le(tags), Buffer.alloc(tags + (tags % 2))]
  const body = Buffer.concat([
    ...[text('WAVEfmt '), u32le(16), format, ...list],
    ...[text('data'), u32le(size), Buffer.alloc(soundBytes)],
  ])
  return Buffer.concat([text('RIFF'), u32le(body.length), body])
}

export const box = (type: string, ...inner: Buffer[]): Buffer => {
  const body = Buffer.concat(inner)
  return Buffer.concat([u32(body.length + 8), text(type), body])
}

export interface Mp4Options {
  brand?: string
  tracks?: string[]
  scale?: number
  units?: number
  /** The header behind the samples, as cameras write it. */
  late?: boolean
}

export function mp4(options: Mp4Options = {}): Buffer {
  const { brand = 'isom', tracks = ['vide', 'soun'], scale = 1000, units = 2500 } = options
  const mvhd = box('mvhd', Buffer.alloc(12), u32(scale), u32(units), Buffer.alloc(80))
  const handler = (type: string) => box('hdlr', Buffer.alloc(8), text(type), Buffer.alloc(13))
  const moov = box('moov', mvhd, ...tracks.map((type) => box('trak', box('mdia', handler(type)))))
  const mdat = box('mdat', filler(500))
  const parts = options.late === true ? [mdat, moov] : [moov, mdat]
  return Buffer.concat([box('ftyp', text(brand), u32(512), text('isomiso2')), ...parts])
}

export const element = (id: string, ...inner: Buffer[]): Buffer => {
  const body = Buffer.concat(inner)
  const size = Buffer.from(u32(body.length))
  size[0] = 0x10
  return Buffer.concat([Buffer.from(id, 'hex'), size, body])
}

export function webm({ docType = 'webm', ms = 1500 as number | null } = {}): Buffer {
  const duration = Buffer.alloc(8)
  duration.writeDoubleBE(ms ?? 0)
  const info = element(
    '1549a966',
    element('2ad7b1', Buffer.from('0f4240', 'hex')),
    ...(ms === null ? [] : [element('4489', duration)]),
  )
  const segment = Buffer.concat([
    Buffer.from('1853806701ffffffffffffff', 'hex'),
    info,
    element('1f43b675', filler(300)),
  ])
  return Buffer.concat([element('1a45dfa3', element('4282', text(docType))), segment])
}

function oggPage(serial: number, position: bigint, body: Buffer): Buffer {
  const head = Buffer.alloc(28)
  head.write('OggS', 'latin1')
  head.writeBigUInt64LE(position, 6)
  head.writeUInt32LE(serial, 14)
  head[26] = 1
  head[27] = body.length
  return Buffer.concat([head, body])
}

/** 48,000 samples a second, of which the first 312 are not played. */
export function opus({ samples = 96_312 } = {}): Buffer {
  const ident = Buffer.alloc(19)
  ident.write('OpusHead', 'latin1')
  ident.writeUInt16LE(312, 10)
  return Buffer.concat([
    oggPage(7, 0n, ident),
    oggPage(7, BigInt(samples) / 2n, filler(200)),
    oggPage(9, 99_999_999n, filler(20)),
    oggPage(7, BigInt(samples), filler(200)),
    oggPage(7, 2n ** 64n - 1n, filler(50)),
  ])
}

export function vorbis({ samples = 44_100, rate = 22_050 } = {}): Buffer {
  const ident = Buffer.alloc(30)
  ident.write('\x01vorbis', 'latin1')
  ident.writeUInt32LE(rate, 12)
  return Buffer.concat([oggPage(3, 0n, ident), oggPage(3, BigInt(samples), filler(200))])
}

/** Frames of 417 bytes at 128 kbit/s and 44.1 kHz: 1,152 samples each. */
export function mp3({ frames = 20, tag = true } = {}): Buffer {
  const frame = Buffer.alloc(417)
  frame.set([0xff, 0xfb, 0x90, 0x64])
  const id3 = Buffer.concat([text('ID3'), Buffer.from([4, 0, 0, 0, 0, 1, 2]), Buffer.alloc(130)])
  const sound = Array.from({ length: frames }, () => frame)
  return Buffer.concat([...(tag ? [id3] : []), ...sound, text('TAG'), Buffer.alloc(125)])
}

/** 1,024 samples at 44.1 kHz in each frame of 200 bytes. */
export function aac({ frames = 10 } = {}): Buffer {
  const frame = Buffer.alloc(200)
  frame.set([0xff, 0xf1, 0x50, 0x80, 200 >> 3, ((200 & 7) << 5) | 0x1f, 0xfc])
  return Buffer.concat(Array.from({ length: frames }, () => frame))
}
