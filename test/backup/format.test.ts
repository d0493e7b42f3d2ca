import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checked } from '../../src/backup/checked.ts'
import { opened, sealed } from '../../src/backup/chunks.ts'
import { HEADER_BYTES, newHeader, openHeader } from '../../src/backup/header.ts'
import { type BackupRecord, encodeRecords, readRecords } from '../../src/backup/records.ts'
import { seededRandom } from '../../src/base/random.ts'
import { bytesOf, gather, listed, shownRecord } from './records-shown.ts'
import { cheap } from './stage.ts'

interface Vector {
  passphrase: string
  file: string
  records: unknown[]
  bad: { at: number; xor?: number; code: string }[]
}

const vector = JSON.parse(
  readFileSync(new URL('../../protocols/backup/vectors/backup.json', import.meta.url), 'utf8'),
) as Vector
const file = Buffer.from(vector.file, 'hex')

async function read(bytes: Buffer, passphrase: string): Promise<BackupRecord[]> {
  const key = await openHeader(bytes.subarray(0, HEADER_BYTES), async () => passphrase)
  const rest = listed([bytes.subarray(HEADER_BYTES)])
  return gather(checked(readRecords(opened(rest, key))))
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: { code?: unknown }) => error.code,
  )

describe('the vector', () => {
  it('is read as it is written down, however its passphrase is spelled', async () => {
    for (const form of ['NFC', 'NFD']) {
      const records = await read(file, vector.passphrase.normalize(form))
      expect(records.map(shownRecord)).toEqual(vector.records)
    }
    expect(await codeOf(read(file, 'ete'))).toBe('backup_passphrase')
    expect(await codeOf(read(file, ''))).toBe('backup_passphrase')
  })

  it.each(vector.bad)('$code at $at', async ({ at, xor, code }) => {
    const bytes = Buffer.from(xor === undefined ? file.subarray(0, at) : file)
    if (xor !== undefined) bytes[at] = (bytes[at] ?? 0) ^ xor
    expect(await codeOf(read(bytes, vector.passphrase))).toBe(code)
  })
})

describe('the header', () => {
  it.each([
    ['log2(N)', 16, 0],
    ['log2(N)', 16, 21],
    ['log2(N)', 16, 255],
    ['r', 17, 0],
    // 2^17 is more than scrypt takes with it.
    ['r', 17, 1],
    ['p', 18, 0],
    ['p', 18, 5],
    ['the reserved byte', 19, 1],
  ])('is refused where %s is out of bounds, before anybody is asked', async (_name, at, value) => {
    const { header } = await newHeader('x', { random: seededRandom(1), cost: cheap })
    const bytes = Buffer.from(header)
    // As it is by default, but for one.
    bytes.set([17, 8, 1, 0], 16)
    bytes[at] = value
    const asked = openHeader(bytes, () => Promise.reject(new Error('asked')))
    expect(await codeOf(asked)).toBe('backup_damaged')
  })

  it('is another one for each backup', async () => {
    const random = seededRandom(1)
    const [one, two] = [
      await newHeader('x', { random, cost: cheap }),
      await newHeader('x', { random, cost: cheap }),
    ]
    expect(one.key).not.toEqual(two.key)
    expect(one.header).not.toEqual(two.header)
  })
})

describe('chunks', () => {
  const key = newHeader('x', { random: seededRandom(1), cost: cheap })
  const CHUNK = 65_536

  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])(
    'of %i bytes are opened in whatever pieces they come',
    async (length) => {
      const plain = Buffer.alloc(length, 'abcdefg')
      const all = await bytesOf(sealed(cut(plain, 1000), await key))
      expect(all.length).toBe(length + 16 * Math.max(1, Math.ceil(length / CHUNK)))
      for (const size of [7919, CHUNK + 16, 1e9]) {
        expect((await bytesOf(opened(cut(all, size), await key))).equals(plain)).toBe(true)
      }
      expect(await codeOf(bytesOf(opened(cut(all.subarray(0, -1), 1e9), await key)))).toBe(
        'backup_damaged',
      )
      const whole = all.subarray(0, Math.floor((all.length - 1) / (CHUNK + 16)) * (CHUNK + 16))
      expect(await codeOf(bytesOf(opened(cut(whole, 1e9), await key)))).toBe('backup_damaged')
    },
  )
})

async function* cut(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const manifest: BackupRecord = {
  type: 'manifest',
  manifest: {
    ...{ createdAt: 1, program: '0.1.0', peerId: '12D3Koo' },
    schema: { version: 1, program: '0.1.0' },
  },
}

const fileOf = (path: string, content: Uint8Array): BackupRecord[] => [
  { type: 'file', path, size: content.length },
  ...(content.length === 0 ? [] : [{ type: 'bytes', bytes: content } as const]),
  { type: 'file-end', sha256: hash(content) },
]

const blobPath = `files/${'0a'.repeat(32)}`
const identity = fileOf('identity.key', Buffer.from('key'))
const row = (key: string): BackupRecord => ({
  ...{ type: 'row', key: Buffer.from(key), value: Buffer.from('v') },
})
const end = (rows: number, files: number, fileBytes: number): BackupRecord => ({
  type: 'end',
  totals: { rows, files, fileBytes },
})

const through = (records: readonly BackupRecord[]) =>
  gather(checked(readRecords(encodeRecords(listed(records)))))

describe('records', () => {
  it('come out as they went in', async () => {
    const content = fc.uint8Array({ maxLength: 300 })
    const some = fc.record({
      rows: fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 40 }), {
        selector: (key) => Buffer.from(key).toString('hex'),
      }),
      value: content,
      files: fc.array(content, { maxLength: 3 }),
      pieces: fc.integer({ min: 1, max: 400 }),
    })
    await fc.assert(
      fc.asyncProperty(some, async ({ rows, value, files, pieces: size }) => {
        const sorted = rows.toSorted((a, b) => Buffer.compare(a, b))
        const blobs = files.map((each, n) => fileOf(`files/${n}${'a'.repeat(63)}`, each))
        const bytes = files.reduce((sum, { length }) => sum + length, 3)
        const records = [
          manifest,
          ...identity,
          ...sorted.map((key): BackupRecord => ({ type: 'row', key, value })),
          ...blobs.flat(),
          end(rows.length, files.length + 1, bytes),
        ]
        const encoded = await bytesOf(encodeRecords(listed(records)))
        const read = await gather(checked(readRecords(cut(encoded, size))))
        expect(read.map(shownRecord)).toEqual(records.map(shownRecord))
      }),
    )
  })

  const good = [manifest, ...identity, row('a'), end(1, 1, 3)]
  const bad: [name: string, records: BackupRecord[]][] = [
    ['nothing', []],
    ['no manifest', good.slice(1)],
    ['two manifests', [manifest, ...good]],
    ['no end', good.slice(0, -1)],
    ['more behind the end', [...good, row('b')]],
    ['two ends', [...good, end(1, 1, 3)]],
    ['rows that go back', [manifest, ...identity, row('b'), row('a'), end(2, 1, 3)]],
    ['a row twice', [manifest, ...identity, row('a'), row('a'), end(2, 1, 3)]],
    ['a row that is missing', [manifest, ...identity, end(1, 1, 3)]],
    [
      'a row within a file',
      [manifest, identity[0], row('a'), ...identity.slice(1), end(1, 1, 3)] as BackupRecord[],
    ],
    ['bytes of no file', [manifest, ...identity.slice(1), end(0, 1, 3)]],
    ['no key of the peer', [manifest, row('a'), end(1, 0, 0)]],
    ['a file twice', [manifest, ...identity, ...identity, end(0, 2, 6)]],
    [
      'a file with another hash',
      [
        manifest,
        ...identity.slice(0, -1),
        { type: 'file-end', sha256: hash(Buffer.of()) },
        end(0, 1, 3),
      ] as BackupRecord[],
    ],
    [
      'a file that is shorter',
      [
        manifest,
        { type: 'file', path: 'identity.key', size: 4 },
        ...identity.slice(1),
        end(0, 1, 3),
      ] as BackupRecord[],
    ],
    [
      'a file that is longer',
      [
        manifest,
        { type: 'file', path: 'identity.key', size: 2 },
        ...identity.slice(1),
        end(0, 1, 3),
      ] as BackupRecord[],
    ],
    ['a key that is too large', [manifest, { type: 'file', path: 'identity.key', size: 4097 }]],
    ...[
      '../x',
      '/etc/passwd',
      'files/..',
      `files/../${'a'.repeat(61)}`,
      'store/CURRENT',
      `files/${'A'.repeat(64)}`,
      `${blobPath}/x`,
      'x\0',
      '',
      'toString',
    ].map((path): [string, BackupRecord[]] => [
      `a file at ${JSON.stringify(path)}`,
      [manifest, ...identity, ...fileOf(path, Buffer.of(1)), end(0, 2, 4)],
    ]),
  ]

  it.each(bad)('are refused with %s', async (_name, records) => {
    expect(await codeOf(through(records))).toBe('backup_damaged')
  })

  it.each([
    ['of another type', Buffer.from('0700000000', 'hex')],
    ['longer than any', Buffer.from('02ffffffff', 'hex')],
    ['with a key that is cut off', Buffer.from('02000000030009aa', 'hex')],
    ['without a key', Buffer.from('02000000020000', 'hex')],
    ['with a size out of bounds', Buffer.from('0300000009ffffffffffffffff61', 'hex')],
    ['with a path that is no text', Buffer.from('03000000090000000000000000ff', 'hex')],
    ['that is no JSON', Buffer.from('06000000017b', 'hex')],
    ['without numbers', Buffer.from('06000000027b7d', 'hex')],
    ['cut off', Buffer.from('0200', 'hex')],
  ])('are refused with one %s', async (_name, bytes) => {
    expect(await codeOf(gather(readRecords(listed([bytes]))))).toBe('backup_damaged')
  })

  it('of a running peer never bring the keys of one', async () => {
    const data = (records: BackupRecord[]) => gather(checked(listed(records), 'data'))
    expect(await codeOf(data([manifest, row('a'), end(1, 0, 0)]))).toBeUndefined()
    expect(await codeOf(data(good))).toBe('backup_damaged')
  })
})
