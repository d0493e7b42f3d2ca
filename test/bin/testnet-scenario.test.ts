import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../bin/command.ts'
import { runTestnet, testnet } from '../../bin/testnet.ts'
import { scenarioNames } from '../../testnet/index.ts'
import { isRunning } from '../testnet/pids.ts'
import { type Stage, stage, temporaryFolder } from './stage.ts'

// With a small program in place of the peer's, which knows nothing of prices: no provider comes up.

const program = join(import.meta.dirname, '../testnet/fake-peer.ts')

const run = (io: Stage, ...args: string[]) =>
  runTestnet(parseCommandLine(testnet, args, io.env), io, program)

describe('a scenario', () => {
  it('is one that there is, with peers of its own', async () => {
    const io = stage()
    await expect(run(io, '--scenario', 'flood')).rejects.toThrow(
      `--scenario: expected one of ${scenarioNames.join(', ')}; got "flood".`,
    )
    await expect(run(io, '--scenario', 'freeze', '--peers', '3')).rejects.toThrow('of its own')
    await expect(run(io, '--scenario', 'freeze', '--seed=-1')).rejects.toThrow('--seed')
    await expect(run(io, '--seed', '7')).rejects.toThrow('add --scenario NAME')
  })

  it('that comes to nothing did not hold, says why, and leaves no process behind', async () => {
    const dir = temporaryFolder()
    const io = stage({ env: { TMPDIR: dir } })
    const args = ['--scenario', 'kill-provider', '--seed', '7', '--data-dir', dir]
    expect(await run(io, ...args)).toBe(1)
    expect(io.stdout.text).toMatch(/^kill-provider, seed 7\nA provider is killed/)
    expect(io.stdout.text).toMatch(/\d\.\d s {2}.*ERR_PARSE_ARGS_UNKNOWN_OPTION/)
    expect(io.stdout.text).toMatch(/NO {3}end +provider-[12] ended while it started \(code 1\)\.\n/)
    expect(io.stdout.text).toMatch(/\nIt did not hold\.\n$/)
    const pids = ['gateway', 'provider-1', 'provider-2']
      .map((name) => join(dir, name, 'pid'))
      .filter(existsSync)
      .map((path) => Number(readFileSync(path, 'utf8')))
    expect(pids.length).toBeGreaterThan(0)
    expect(pids.filter(isRunning)).toEqual([])
  })

  it('is told to programs in lines of JSON', async () => {
    const io = stage()
    expect(await run(io, '--scenario', 'churn', '--json')).toBe(1)
    const lines = io.stdout.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const { seed } = lines[0]
    expect(lines[0]).toEqual({ event: 'scenario', scenario: 'churn', seed: expect.any(Number) })
    expect(lines[1]).toEqual({
      event: 'happened',
      ms: expect.any(Number),
      says: expect.any(String),
    })
    expect(lines.at(-1)).toMatchObject({
      ...{ event: 'verdict', scenario: 'churn', held: false, seed },
      findings: [{ what: 'end', holds: false }],
    })
  })

  it('ends when it is interrupted', async () => {
    const io = stage()
    const dir = join(temporaryFolder(), 'peers')
    const done = run(io, '--scenario', 'churn', '--data-dir', dir)
    await expect.poll(() => existsSync(join(dir, 'gateway.log'))).toBe(true)
    io.interrupt()
    await expect(done).rejects.toThrow(/abort/)
  })
})
