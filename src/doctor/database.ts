import type { StoreDamage } from '../storage/look.ts'
import { type Found, fail, ok, warn } from './finding.ts'
import type { PeerSeen } from './peer-seen.ts'
import { bytesText } from './text.ts'

/** Whether what is stored is whole. */
export function database(seen: PeerSeen, damage: StoreDamage): Found {
  if (seen.type === 'answers' && seen.peer.storage === 'failed') {
    return fail(
      'storage_failed',
      'A write did not reach the disk, and the running peer takes no more.',
      'Look at the disk (room, health, rights), then start the peer again.',
    )
  }
  const restore =
    'Restore a backup, or move the folder "store" out of the data folder to begin with an empty ' +
    'database; receipts are still at other peers.'
  switch (damage.type) {
    case 'damaged':
      return fail('storage_corrupt', `The database is damaged: ${damage.what}.`, restore)
    case 'lost':
      return warn(
        'storage_lost',
        `When the database was opened last, ${bytesText(damage.bytes)} of what was written before ` +
          'were unreadable and are gone.',
        'Look at the disk, its health and its cables; receipts are still at other peers.',
      )
    case 'empty':
      return ok('There is no database yet.')
    case 'none':
      return ok(`Nothing is missing among its ${damage.files} files.`)
  }
}
