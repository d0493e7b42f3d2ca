import { writeFileSync } from 'node:fs'
import { sealed } from '../../src/backup/chunks.ts'
import { newHeader } from '../../src/backup/header.ts'
import { type BackupRecord, encodeRecords } from '../../src/backup/records.ts'
import { seededRandom } from '../../src/base/random.ts'
import { bytesOf, listed, shownRecord } from './records-shown.ts'

// node test/backup/make-vector.ts: writes protocols/backup/vectors/backup.json.

const text = (value: string) => new Uint8Array(Buffer.from(value))
const sha256 = (value: string) => new Uint8Array(Buffer.from(value, 'hex'))
const empty = sha256('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
const abc = sha256('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')

const records: BackupRecord[] = [
  {
    type: 'manifest',
    manifest: {
      ...{ createdAt: 1_790_000_000_000, program: '0.1.0', peerId: '12D3KooWExample' },
      schema: { version: 1, program: '0.1.0' },
    },
  },
  { type: 'file', path: 'identity.key', size: 3 },
  { type: 'bytes', bytes: text('abc') },
  { type: 'file-end', sha256: abc },
  { type: 'row', key: text('\u0004metaschema'), value: text('{"version":1,"program":"0.1.0"}') },
  { type: 'row', key: text('\u0005thinga'), value: new Uint8Array() },
  { type: 'file', path: `files/${Buffer.from(empty).toString('hex')}`, size: 0 },
  { type: 'file-end', sha256: empty },
  { type: 'end', totals: { rows: 2, files: 2, fileBytes: 3 } },
]

const passphrase = 'e\u0301t\u00e9'
const key = await newHeader(passphrase, {
  random: seededRandom(1),
  cost: { logN: 10, r: 8, p: 1 },
})
const file = Buffer.concat([key.header, await bytesOf(sealed(encodeRecords(listed(records)), key))])
const bad = [
  { at: 0, xor: 1, code: 'backup_foreign' },
  { at: 15, xor: 2, code: 'backup_newer' },
  { at: 16, xor: 64, code: 'backup_damaged' },
  { at: 20, xor: 1, code: 'backup_passphrase' },
  { at: 83, xor: 128, code: 'backup_passphrase' },
  { at: 84, xor: 1, code: 'backup_damaged' },
  { at: file.length - 1, xor: 1, code: 'backup_damaged' },
  { at: 10, code: 'backup_damaged' },
  { at: 84, code: 'backup_damaged' },
  { at: file.length - 1, code: 'backup_damaged' },
]
const vector = { passphrase, file: file.toString('hex'), records: records.map(shownRecord), bad }
const path = new URL('../../protocols/backup/vectors/backup.json', import.meta.url)
writeFileSync(path, `${JSON.stringify(vector, null, 2)}\n`)
