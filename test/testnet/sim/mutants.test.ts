import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Mutant, mutants } from '../../../testnet/sim/mutants.ts'
import type { Outcome } from '../../../testnet/sim/simulation.ts'
import { rounds } from '../../campaign.ts'

/** One that shows only in bad luck is not in each story. */
const SEEDS_MAX = 12

const root = join(import.meta.dirname, '../../..')
let copy = ''

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'pinaivu-mutants-'))
  for (const name of ['src', 'testnet/sim', 'package.json']) {
    mkdirSync(join(copy, 'testnet'), { recursive: true })
    cpSync(join(root, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
})

afterAll(() => rmSync(copy, { recursive: true, force: true }))

function simulated(seed: number): Promise<Outcome> {
  const size = ['--seed', `${seed}`, '--peers', '20', '--minutes', '2']
  const args = ['testnet/sim/run.ts', ...size, '--json']
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: copy, maxBuffer: 2 ** 26 }, (_, out, err) => {
      if (out === '') reject(new Error(err))
      else resolve(JSON.parse(out) as Outcome)
    })
  })
}

/** The rules that it breaks in the first story in which it breaks any. */
async function broken({ file, from, to }: Mutant): Promise<string[]> {
  const path = join(copy, file)
  const text = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    text.replace(from, () => to),
  )
  try {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { violations } = await simulated(seed)
      if (violations.length > 0) return violations.map(({ rule }) => rule)
    }
    return []
  } finally {
    writeFileSync(path, text)
  }
}

it.each(mutants)('$name is a change of what is there', ({ file, from, to }) => {
  const text = readFileSync(join(root, file), 'utf8')
  expect(text.split(from)).toHaveLength(2)
  expect(to).not.toBe(from)
})

describe('planted', { timeout: 300_000 }, () => {
  it.each(mutants.slice(0, rounds(1, mutants.length)))('$name is found', async (mutant) => {
    expect(await broken(mutant)).toEqual(
      expect.arrayContaining([expect.toBeOneOf([...mutant.rules])]),
    )
  })
})
