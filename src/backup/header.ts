import { createHmac, scrypt, timingSafeEqual } from 'node:crypto'
import { PeerError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { damaged, foreign, newer, wrongPassphrase } from './errors.ts'

// protocols/backup/spec.md has the bytes.

const MAGIC = Buffer.from('pinaivu-backup\n')
const VERSION = 1
const SALT_BYTES = 32
const MAC_BYTES = 32
const KEY_BYTES = 32
const COST_AT = MAGIC.length + 1
const SALT_AT = COST_AT + 4
const MAC_AT = SALT_AT + SALT_BYTES

export const HEADER_BYTES = MAC_AT + MAC_BYTES

/** How much a guess of the passphrase costs: 128 MiB and about half a second. */
export interface Cost {
  /** The logarithm of scrypt's N. */
  logN: number
  r: number
  p: number
}

export const defaultCost: Cost = { logN: 17, r: 8, p: 1 }

/** What a file may ask of who reads it: 1 GiB, and seconds. */
const COST_BYTES_MAX = 1024 ** 3
const P_MAX = 4

/** Of one backup: each has a salt, and so a key, of its own. */
export interface BackupKey {
  /** For the chunks. */
  key: Uint8Array
  header: Uint8Array
}

/** A new header, and the key that belongs to it. */
export async function newHeader(
  passphrase: string,
  { random, cost = defaultCost }: { random: Random; cost?: Cost },
): Promise<BackupKey> {
  const { logN, r, p } = cost
  const open = Buffer.concat([MAGIC, Buffer.of(VERSION, logN, r, p, 0), random.bytes(SALT_BYTES)])
  const { key, macKey } = await derive(passphrase, open)
  return { key, header: Buffer.concat([open, macOf(open, macKey)]) }
}

/** Asked for once it is known that it will be used. */
export type AskPassphrase = () => Promise<string>

/** The key of a backup by its first bytes. Says whether it is the file or the passphrase. */
export async function openHeader(header: Uint8Array, ask: AskPassphrase): Promise<BackupKey> {
  const bytes = Buffer.from(header)
  const beginning = bytes.subarray(0, MAGIC.length)
  if (!beginning.equals(MAGIC.subarray(0, beginning.length)) || bytes.length === 0) throw foreign()
  if (bytes.length < COST_AT) throw damaged('it is cut off')
  const version = bytes[MAGIC.length] ?? 0
  if (version > VERSION) throw newer(version, VERSION)
  if (version !== VERSION) throw damaged('it has no version')
  if (bytes.length < HEADER_BYTES) throw damaged('it is cut off')
  checkCost(bytes)
  const open = bytes.subarray(0, MAC_AT)
  const { key, macKey } = await derive(await ask(), open)
  if (!timingSafeEqual(bytes.subarray(MAC_AT, HEADER_BYTES), macOf(open, macKey))) {
    throw wrongPassphrase()
  }
  return { key, header: bytes.subarray(0, HEADER_BYTES) }
}

function costOf(header: Uint8Array): Cost {
  const [logN = 0, r = 0, p = 0] = header.subarray(COST_AT)
  return { logN, r, p }
}

/** Before anything is reserved for it. */
function checkCost(header: Uint8Array): void {
  const { logN, r, p } = costOf(header)
  // scrypt's own bound on N. What OpenSSL refuses, it also holds against the next key that is read.
  const isKnown = logN >= 1 && logN < 16 * r && p >= 1 && header[COST_AT + 3] === 0
  if (!isKnown || p > P_MAX || 128 * 2 ** logN * r > COST_BYTES_MAX) {
    throw damaged('what it asks of the passphrase is out of bounds')
  }
}

const macOf = (open: Uint8Array, macKey: Uint8Array): Buffer =>
  createHmac('sha256', macKey).update(open).digest()

async function derive(passphrase: string, open: Uint8Array) {
  // Also where the bytes come from elsewhere: everybody can guess the empty one.
  if (passphrase === '') {
    throw new PeerError('backup_passphrase', 'A backup needs a passphrase that is not empty.')
  }
  const { logN, r, p } = costOf(open)
  const options = { N: 2 ** logN, r, p, maxmem: 128 * r * (2 ** logN + p + 2) }
  const salt = open.subarray(SALT_AT, MAC_AT)
  // One text has several spellings in Unicode, and keyboards differ in which they give.
  const words = Buffer.from(passphrase.normalize('NFC'))
  const both = await new Promise<Buffer>((resolve, reject) => {
    scrypt(words, salt, 2 * KEY_BYTES, options, (error, derived) =>
      error === null ? resolve(derived) : reject(error),
    )
  })
  return { key: both.subarray(0, KEY_BYTES), macKey: both.subarray(KEY_BYTES) }
}
