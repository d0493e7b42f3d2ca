import { type Found, fail, ok, skip, warn } from './finding.ts'
import { processText } from './lock-holder.ts'
import type { PeerSeen } from './peer-seen.ts'

/** Whether a peer runs on the data folder and can be asked. */
export async function running(
  seen: PeerSeen,
  { dataDir, version, holder }: { dataDir: string; version: string; holder: number | undefined },
): Promise<Found> {
  switch (seen.type) {
    case 'answers':
      return seen.peer.version === version
        ? ok(`A peer runs here: process ${seen.pid}, ${seen.http}.`)
        : otherVersion(seen.peer.version, version)
    case 'closed':
      return skip(
        `A peer runs here (process ${seen.pid}) without an HTTP endpoint, and can't be asked.`,
      )
    case 'silent':
      return fail(
        'peer_silent',
        `The peer on ${dataDir} does not answer: process ${seen.pid}, ${seen.http} (${seen.why}).`,
        'Look at what it logged last. If it hangs, end that process and start the peer again.',
      )
  }
  if (holder === undefined) return skip('No peer runs here: this is what one would meet.')
  return fail(
    'data_dir_in_use',
    `The data folder ${dataDir} is in use by ${await processText(holder)}, which is no peer that ` +
      'can be asked.',
    'Stop that process, or give this peer its own folder with --data-dir.',
  )
}

const otherVersion = (theirs: string, ours: string): Found =>
  warn(
    'other_version',
    `The peer that runs is of version ${theirs}, and this program of ${ours}.`,
    'Restart the peer to have the one that is installed.',
  )
