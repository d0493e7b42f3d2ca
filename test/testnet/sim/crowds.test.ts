import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { rounds } from '../../campaign.ts'

const root = join(import.meta.dirname, '../../..')
const HOUR_MS = 3_600_000

const seeds = (count: number) => Array.from({ length: count }, (_, at) => at + 1)
const isLong = rounds(0, 1) > 0

/** In a process of its own: what a thousand peers take is free again afterwards. */
function told(seed: number, peers: number): Promise<string> {
  const options = ['--seed', `${seed}`, '--peers', `${peers}`, '--minutes', '1', '--json']
  const args = ['run', '--silent', 'sim', '--', ...options]
  return new Promise((resolve) => {
    execFile('npm', args, { cwd: root, maxBuffer: 2 ** 26 }, (error, out, err) => {
      resolve(error === null ? 'good' : `${out}\n${err}`)
    })
  })
}

describe.runIf(isLong)('a simulation', () => {
  it.each(seeds(rounds(1, 100)))(
    'of 200 peers breaks no rule, seed %i',
    async (seed) => expect(await told(seed, 200)).toBe('good'),
    HOUR_MS,
  )

  it.each(seeds(rounds(1, 3)))(
    'of 1,000 peers breaks no rule, seed %i',
    async (seed) => expect(await told(seed, 1_000)).toBe('good'),
    4 * HOUR_MS,
  )
})
