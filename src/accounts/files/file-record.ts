import { jsonValue, textKey } from '../../storage/codec.ts'
import { type FileKind, fileKinds } from './media/media-type.ts'

/** A file that an account keeps here. */
export interface FileRecord {
  /** `file_…` */
  id: string
  account: string
  kind: FileKind
  /** The one it was sent for, if that was said. */
  model: string | null
  /** To show; no path on any disk. */
  filename: string
  /** What its bytes say. */
  mimeType: string
  bytes: number
  /** Of its bytes, in hex. */
  sha256: string
  durationMs: number | null
  /** Milliseconds since the epoch. */
  createdAt: number
  clientRequestId: string | null
}

/** What whoever sends a file says of it. */
export interface FileDetails {
  kind: FileKind
  filename: string | undefined
  model?: string | undefined
  clientRequestId?: string | undefined
}

function checkRow(value: unknown): FileRecord {
  const row = value as Partial<Record<keyof FileRecord, unknown>>
  const { id, account, filename, mimeType, sha256, kind, bytes, createdAt } = row
  const texts = [id, account, filename, mimeType, sha256].every((text) => typeof text === 'string')
  const isKind = (fileKinds as readonly unknown[]).includes(kind)
  const numbers = [bytes, createdAt].every((number) => Number.isSafeInteger(number))
  if (!texts || !isKind || !numbers) throw new TypeError('not a file')
  return value as FileRecord
}

/** By account and id. */
export const fileRows = { key: textKey, value: jsonValue(checkRow) }

const checkText = (value: unknown): string => {
  if (typeof value !== 'string') throw new TypeError('not a text')
  return value
}

/** By id: whose it is, for those who come with a link. */
export const fileOwners = { key: textKey, value: jsonValue(checkText) }

/** By the hash of the bytes and the id of a file that has them; the account is the value. */
export const fileUses = { key: textKey, value: jsonValue(checkText) }

const FILENAME_BYTES_MAX = 255

/** The last part of a path, without what changes how a name is shown or where it ends. */
export function shownFilename(name: string | undefined, mimeType: string): string {
  const last = (name ?? '').toWellFormed().normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const plain = last.replace(/[\p{C}\u2028\u2029]/gu, '').trim()
  let kept = ''
  for (const character of plain) {
    if (Buffer.byteLength(kept + character) > FILENAME_BYTES_MAX) break
    kept += character
  }
  return /^\.*$/.test(kept) ? `file.${mimeType.split('/')[1]}` : kept
}
