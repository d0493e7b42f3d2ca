import type { Directory } from './directory.ts'

export interface WatchWishes {
  /** Those that the market asked for, the most wanted first. */
  wanted: readonly string[]
  watched: ReadonlySet<string>
  limit: number
}

/**
 * Whose status this peer follows: first those that are wanted, then those it follows already, then
 * whoever else has a model, then whoever is about to have one.
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
  const loading = directory.all().filter(({ advert }) => advert.roles.includes('provider'))
  const old = serving.filter(({ peerId }) => watched.has(peerId))
  for (const { peerId } of [...old, ...serving, ...loading]) {
    if (chosen.size >= limit) return chosen
    chosen.add(peerId)
  }
  return chosen
}
