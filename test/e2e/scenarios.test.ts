import { describe, expect, it } from 'vitest'
import { scenarioNames } from '../../testnet/index.ts'
import { rounds } from '../campaign.ts'
import { runProgram } from './peer-process.ts'

// Real peers, to which it happens, by the command that anybody can run.

const names = rounds(0, 1) > 0 ? scenarioNames : (['kill-provider'] as const)

describe('a scenario on real processes', () => {
  it.each(names)('%s holds', { timeout: 300_000 }, async (name) => {
    const env = { HOME: '/nowhere', TMPDIR: process.env.TMPDIR ?? '/tmp' }
    const { code, stdout, stderr } = await runProgram(['testnet', '--scenario', name, '--json'], {
      env,
    })
    const lines = stdout.split('\n').filter((line) => line !== '')
    const verdict = JSON.parse(lines.at(-1) ?? '{}')
    const failed = verdict.findings.filter(({ holds }: { holds: boolean }) => !holds)
    expect([failed, verdict.held, code, stderr]).toEqual([[], true, 0, ''])
    console.info(`${name}: ${JSON.stringify(verdict.figures)}`)
  })
})
