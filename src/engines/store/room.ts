import { bytesText } from '../../base/bytes-text.ts'
import { PeerError } from '../../base/errors.ts'
import { ROOM_LEFT_BYTES } from './disk-room.ts'
import type { ModelFolder } from './model-folder.ts'

export interface RoomOptions {
  /** For all models of this machine. Undefined: as much as the disk has. */
  quotaBytes?: number | undefined
  /** Bytes that may be written in a folder. */
  free(folder: string): Promise<number>
}

/**
 * Refuses what would not fit: on the disk, or beside the other models under the quota. Unfinished pulls
 * count with all that they will have, so that two at once don't both take the last of it.
 */
export async function assertRoom(
  folder: ModelFolder,
  { uri, sizeBytes, missingBytes }: { uri: string; sizeBytes: number; missingBytes: number },
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
      .map((each) => Math.max(each.receivedBytes, each.sizeBytes ?? 0)),
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
