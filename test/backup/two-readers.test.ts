import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checked } from '../../src/backup/checked.ts'
import { opened, sealed } from '../../src/backup/chunks.ts'
import { HEADER_BYTES, newHeader, openHeader } from '../../src/backup/header.ts'
import { type BackupRecord, encodeRecords, readRecords } from '../../src/backup/records.ts'
import { seededRandom } from '../../src/base/random.ts'
import { rounds } from '../campaign.ts'
import { changedBytes, changedTree } from '../wire/mutations.ts'
import { hasPython, SecondReader } from '../wire/second-reader.ts'
import { bytesOf, gather, listed } from './records-shown.ts'
import { cheap, PASSPHRASE } from './stage.ts'

const text = (value: string) => Buffer.from(value)

const fileOf = (path: string, ...pieces: string[]): BackupRecord[] => [
  { type: 'file', path, size: pieces.join('').length },
  ...pieces.map((piece): BackupRecord => ({ type: 'bytes', bytes: text(piece) })),
  { type: 'file-end', sha256: createHash('sha256').update(pieces.join('')).digest() },
]

const good: BackupRecord[] = [
  {
    type: 'manifest',
    manifest: {
      ...{ createdAt: 1, program: '0.1.0', peerId: '12D3Koo' },
      schema: { version: 1, program: '0.1.0' },
    },
  },
  ...fileOf('identity.key', 'abc'),
  { type: 'row', key: text('a'), value: text('x') },
  { type: 'row', key: text('b'), value: text('') },
  ...fileOf(`files/${'0a'.repeat(32)}`, 'de', 'f'),
  ...fileOf('config.toml'),
  { type: 'end', totals: { rows: 2, files: 3, fileBytes: 6 } },
]

const key = newHeader(PASSPHRASE, { random: seededRandom(1), cost: cheap })

const encoded = (records: readonly BackupRecord[]) => bytesOf(encodeRecords(listed(records)))

async function sealedFile(plain: Uint8Array): Promise<Uint8Array> {
  const { header } = await key
  return Buffer.concat([header, await bytesOf(sealed(listed([plain]), await key))])
}

async function verdictOf(file: Uint8Array): Promise<string> {
  const header = file.subarray(0, HEADER_BYTES)
  try {
    const known = await openHeader(header, async () => PASSPHRASE)
    await gather(checked(readRecords(opened(listed([file.subarray(HEADER_BYTES)]), known))))
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'good'
}

const at = fc.nat({ max: good.length - 1 })

const other: fc.Arbitrary<BackupRecord> = fc.record({
  type: fc.constant('file' as const),
  path: fc.constantFrom('owner.key', 'config.toml', 'x', '../x', `files/${'0b'.repeat(32)}`),
  size: fc.constantFrom(0, 3, 4096, 4097),
})

/** One of them twice, left out, or another one, or two in the other order. */
const otherRecords: fc.Arbitrary<BackupRecord[]> = fc.oneof(
  fc.tuple(at, at).map(([from, to]) => good.toSpliced(to, 0, good[from] as BackupRecord)),
  at.map((index) => good.toSpliced(index, 1)),
  fc.tuple(at, other).map(([index, record]) => good.with(index, record)),
  at.map((index) => good.toSpliced(index, 2, ...good.slice(index, index + 2).reverse())),
)

const json = {
  ...{ created_at: 1, program: '0.1.0', peer_id: '12D3Koo' },
  schema: { version: 1, program: '0.1.0' },
}
const anyJson = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e300, null, true, '', 'a', [], {}),
)

const otherManifests: fc.Arbitrary<Promise<Uint8Array>> = fc
  .oneof(
    changedTree(json, anyJson).map((value) => JSON.stringify(value)),
    changedBytes(text(JSON.stringify(json))),
  )
  .map(async (manifest) => {
    const bytes = Buffer.from(manifest as string)
    const head = Buffer.alloc(5, 1)
    head.writeUInt32BE(bytes.length, 1)
    return sealedFile(Buffer.concat([head, bytes, await encoded(good.slice(1))]))
  })

const title = 'both readers come to the same verdict on a backup'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  let second: SecondReader
  beforeAll(() => {
    second = new SecondReader()
  })
  afterAll(() => second.stop())

  async function compared(files: fc.Arbitrary<Promise<Uint8Array>>, few: number) {
    const verdicts = new Set<string>()
    await fc.assert(
      fc.asyncProperty(files, async (made) => {
        const file = await made
        const hex = Buffer.from(file).toString('hex')
        const verdict = await verdictOf(file)
        const other = await second.verdict({ protocol: 'backup', hex, passphrase: PASSPHRASE })
        expect(other).toBe(verdict)
        verdicts.add(verdict)
      }),
      { numRuns: rounds(few, few === 1 ? 1 : few * 50) },
    )
    return verdicts
  }

  it('of which bytes were changed', async () => {
    const whole = await sealedFile(await encoded(good))
    const verdicts = await compared(
      changedBytes(whole).map(async (file) => file),
      100,
    )
    expect(verdicts).toContain('backup_damaged')
  })

  it('of which bytes were changed, and sealed again', async () => {
    const plain = await encoded(good)
    await compared(changedBytes(plain).map(sealedFile), 60)
  })

  it('of several chunks', async () => {
    const pieces = ['x'.repeat(65_536), 'y'.repeat(65_536)]
    const many = [...good.slice(0, -1), ...fileOf(`files/${'0b'.repeat(32)}`, ...pieces)]
    const totals = { rows: 2, files: 4, fileBytes: 6 + 2 * 65_536 }
    const whole = await sealedFile(await encoded([...many, { type: 'end', totals }]))
    const chunk = 65_536 + 16
    const swapped = [1, 0, 2].map((n) => chunk * n + HEADER_BYTES)
    const inOrder = Buffer.concat(swapped.map((from) => whole.subarray(from, from + chunk)))
    for (const [file, verdict] of [
      [whole, 'good'],
      [whole.subarray(0, HEADER_BYTES + chunk), 'backup_damaged'],
      [Buffer.concat([whole.subarray(0, HEADER_BYTES), inOrder]), 'backup_damaged'],
    ] as const) {
      const verdicts = await compared(fc.constant(Promise.resolve(file)), 1)
      expect([...verdicts]).toEqual([verdict])
    }
  })

  it('of another manifest', async () => {
    const verdicts = await compared(otherManifests, 150)
    expect([...verdicts].sort()).toEqual(['backup_damaged', 'good'])
  })

  it('of other records', async () => {
    const verdicts = await compared(
      otherRecords.map(async (records) => sealedFile(await encoded(records))),
      150,
    )
    expect([...verdicts].sort()).toEqual(['backup_damaged', 'good'])
  })
})
