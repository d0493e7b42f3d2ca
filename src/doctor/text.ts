export { bytesText } from '../base/bytes-text.ts'

/** `1 thing`, `2 things`. */
export const counted = (count: number, thing: string): string =>
  `${count} ${thing}${count === 1 ? '' : 's'}`

/** `12 s`, `3 min`, `2 h`, `5 d`: about. */
export function spanText(ms: number): string {
  const steps = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
  ] as const
  // 59.9 minutes are an hour.
  const [size, unit] = steps.find(([least]) => ms >= 0.99 * least) ?? [1000, 's']
  return `${Math.round(ms / size)} ${unit}`
}
