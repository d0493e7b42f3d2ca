import type { Random } from '../../base/random.ts'

/** So many of them, by chance: who stands first is for others to arrange. */
export function draw<T>(from: readonly T[], count: number, random: Random): T[] {
  const left = [...from]
  const drawn: T[] = []
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(random.below(left.length), 1))
  }
  return drawn
}
