import type { Directory } from './directory.ts'

export interface WatchWishes {
  /** Those that the market asked for, the most wanted first. */
  wanted: readonly string[]
  watched: ReadonlySet<string>
  limit: number
}

/**
 * Whose status this peer follows: first those that are wanted, then those it follows already, then
 * whoever else has a model.
 */
export function chooseWatched(
  directory: Directory,
  { wanted, watched, limit }: WatchWishes,
): Set<string> {
  const chosen = new Set<string>()
  for (const peerId of wanted) {
    if (chosen.size >= limit) return chosen
    if (directory.get(peerId) !== undefined) chosen.add(peerId)
  }
  const serving = directory.all().filter(({ advert }) => advert.models.length > 0)
  for (const old of [true, false]) {
    for (const { peerId } of serving) {
      if (chosen.size >= limit) return chosen
      if (watched.has(peerId) === old) chosen.add(peerId)
    }
  }
  return chosen
}
