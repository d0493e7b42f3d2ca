import { type Found, fail, ok } from './finding.ts'

/** @param needed as package.json has it: `>=22.13` */
export function nodeVersion(found: string, needed: string): Found {
  const least = needed.replace(/[^\d.]/g, '')
  if (!isOlder(found, least)) return ok(`Node.js ${found}.`)
  return fail(
    'node_too_old',
    `This is Node.js ${found}, and the peer needs ${least} or newer.`,
    'In a checkout, "npm install" brings a current one along. Elsewhere install one from ' +
      'https://nodejs.org.',
  )
}

/** Compares numbers between dots; a part that is missing is 0. */
export function isOlder(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10)),
  )
  const at = [0, 1, 2].find((index) => (a?.[index] ?? 0) !== (b?.[index] ?? 0))
  return at !== undefined && (a?.[at] ?? 0) < (b?.[at] ?? 0)
}
