/** The value below which this part of all values lies; of the values measured, not between them. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  if (value === undefined) throw new RangeError('nothing was measured')
  return value
}

/** Of an even number of values: the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('nothing was measured')
  return (lower + upper) / 2
}

/** How much y grows for each 1 of x: the line with the least squares through all points. */
export function slope(points: readonly { x: number; y: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, it) => sum + it, 0) / values.length
  const x = mean(points.map((point) => point.x))
  const y = mean(points.map((point) => point.y))
  const spread = mean(points.map((point) => (point.x - x) ** 2))
  if (!(spread > 0)) throw new RangeError('a slope needs two measurements')
  return mean(points.map((point) => (point.x - x) * (point.y - y))) / spread
}

/** Three significant digits: no figure here is known better. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}
