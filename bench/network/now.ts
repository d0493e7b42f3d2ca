/** Digits of a time, without those that do not change during a bench. */
export const TIME_DIGITS = 12
const WRAP = 10 ** TIME_DIGITS

/** Microseconds of a clock that all processes of this machine have in common. */
export function microseconds(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return (seconds * 1e6 + Math.round(nanoseconds / 1e3)) % WRAP
}

/** The same, to be written into a text. */
export const now = (): string => String(microseconds()).padStart(TIME_DIGITS, '0')
