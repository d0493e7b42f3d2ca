import { bytesText } from '../../base/bytes-text.ts'
import { PeerError } from '../../base/errors.ts'
import { ROOM_LEFT_BYTES } from './disk-room.ts'
import type { ModelFolder, Plan } from './model-folder.ts'

export interface RoomOptions {
  /** For all models of this machine. Undefined: as much as the disk has. */
  quotaBytes?: number | undefined
  /** Bytes that may be written in a folder. */
  free(folder: string): Promise<number>
}

export interface Needs {
  uri: string
  /** Of the whole model. */
  sizeBytes: number
  /** That are still to come. */
  missingBytes: number
}

/**
 * One after the other, of whatever processes: what one of them has room for is noted before another looks.
 * `plan` is written where there is room.
 */
export async function claimRoom(
  folder: ModelFolder,
  { needs, plan, signal }: { needs: Needs; plan: Plan; signal: AbortSignal },
  options: RoomOptions,
): Promise<void> {
  const unlock = await folder.lock('room', { signal, onWait() {} })
  try {
    await assertRoom(folder, needs, options)
    await folder.note(plan)
  } finally {
    await unlock()
  }
}

/**
 * Refuses what would not fit: on the disk, or beside the other models under the quota. Unfinished pulls
 * count with all that they will have, so that two at once don't both take the last of it.
 */
async function assertRoom(
  folder: ModelFolder,
  { uri, sizeBytes, missingBytes }: Needs,
  { quotaBytes, free }: RoomOptions,
): Promise<void> {
  const left = await free(folder.root)
  if (missingBytes + ROOM_LEFT_BYTES > left) {
    throw new PeerError(
      'storage_full',
      `${bytesText(missingBytes)} are to be fetched, and the disk at ${folder.root} has ` +
        `${bytesText(left)} (${bytesText(ROOM_LEFT_BYTES)} stay free). Remove models ` +
        '(models list, models rm NAME), or give a folder on another disk with --data-dir.',
    )
  }
  if (quotaBytes === undefined) return
  const [stored, unfinished] = await Promise.all([folder.list(), folder.unfinished()])
  const others = [
    ...stored.filter((model) => model.uri !== uri).map((model) => model.sizeBytes),
    ...unfinished
      .filter((each) => each.uri !== uri)
      .map(({ receivedBytes, sizeBytes, claimedBytes }) =>
        Math.max(receivedBytes, sizeBytes ?? 0, claimedBytes ?? 0),
      ),
  ]
  const used = others.reduce((sum, size) => sum + size, 0)
  if (used + sizeBytes <= quotaBytes) return
  throw new PeerError(
    'model_quota_exceeded',
    `This model has ${bytesText(sizeBytes)}, and models may have ${bytesText(quotaBytes)} together ` +
      `(--model-quota), of which ${bytesText(used)} are taken. Remove some (models list, models rm NAME), ` +
      'or raise the quota.',
  )
}
