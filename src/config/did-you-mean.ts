/** The candidate that was probably meant, when one is close enough to be worth naming. */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(word)
  let best: string | undefined
  // A third of the letters may differ; more is another word.
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const other = plain(candidate)
    const begun = wanted.length >= 3 && (other.startsWith(wanted) || wanted.startsWith(other))
    const distance = begun ? 0.5 : editDistance(wanted, other)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** ` Did you mean "x"?`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>, prefix = ''): string {
  const found = closest(word, candidates)
  return found === undefined ? '' : ` Did you mean ${prefix}${found}?`
}

const plain = (word: string): string => word.slice(0, 64).toLowerCase().replaceAll('_', '-')

/** Letters to insert, remove, replace or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      )
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      }
      row.push(cost)
    }
    before = previous
    previous = row
  }
  return previous[b.length] ?? 0
}
