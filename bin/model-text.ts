import type { ModelFacts } from '../src/index.ts'

/** `chat`, `12.3M parameters`, `Q8_0`: what is known of a model, in a few words. */
export function modelFacts({ facts }: { facts?: ModelFacts }): string[] {
  if (facts === undefined) return []
  const { kind, parameters, quant } = facts
  // Of a model that another server runs, less is known.
  return [
    kind,
    ...(parameters > 0 ? [`${countText(parameters)} parameters`] : []),
    ...(quant === '' ? [] : [quant]),
  ]
}

const steps = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'K'],
] as const

/** `3.2B` for 3,212,749,888. */
export function countText(count: number): string {
  for (const [size, letter] of steps) {
    if (count >= size) return `${Number((count / size).toPrecision(3))}${letter}`
  }
  return String(count)
}

const bytesStep = 1024

/** `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes
  let unit = 0
  while (size >= bytesStep && unit < units.length - 1) {
    size /= bytesStep
    unit += 1
  }
  return `${Number(size.toPrecision(3))} ${units[unit]}`
}

/** `2 h 5 min`, `40 s`. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds)
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
