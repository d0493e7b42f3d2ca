import { messageOf, PeerError } from '../base/errors.ts'

/** What is there is a backup, but not as it was written. */
export const damaged = (what: string): PeerError =>
  new PeerError(
    'backup_damaged',
    `The backup is damaged (${what}). Nothing was restored: take another copy of it.`,
  )

export const foreign = (): PeerError =>
  new PeerError('backup_foreign', 'This file is no backup of a pinaivu-peer.')

export const newer = (version: number, known: number): PeerError =>
  new PeerError(
    'backup_newer',
    `The backup is of version ${version}, and this program reads up to ${known}. ` +
      'Restore it with a newer pinaivu-peer.',
  )

export const wrongPassphrase = (): PeerError =>
  new PeerError(
    'backup_passphrase',
    'The passphrase is wrong, or the first bytes of the backup are damaged.',
  )

/** What the disk or the system refuses, in one sentence. */
export function fileFailure(what: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException
  // Ours, or an abort: said already.
  if (cause instanceof PeerError || typeof code !== 'string') return cause
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new PeerError('storage_full', `${what}: the disk is full. Nothing was left behind.`, {
      cause,
    })
  }
  return new PeerError('backup_failed', `${what}: ${messageOf(cause)}.`, { cause })
}
