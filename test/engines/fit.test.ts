import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fitOf } from '../../src/engines/fit.ts'
import { cachedFiles } from '../../src/engines/free-ram.ts'

const GiB = 1024 ** 3
const needs = {
  ...{ weightsBytes: 4 * GiB, contextBytesPerToken: 100_000 },
  ...{ contextLength: 131_072, slots: 4 },
}

describe('what fits', () => {
  it('is a model with all its context, with a shorter one, or not at all', () => {
    expect(fitOf(needs, { ramBytes: 100 * GiB, vramBytes: 0 })).toMatchObject({
      ...{ fits: true, isWhole: true, contextLength: 131_072 },
    })
    expect(fitOf(needs, { ramBytes: 8 * GiB, vramBytes: 0 })).toMatchObject({
      ...{ fits: true, isWhole: false, contextLength: 8192 },
    })
    expect(fitOf(needs, { ramBytes: 4 * GiB, vramBytes: 0 })).toMatchObject({
      ...{ fits: false, contextLength: 0, needsBytes: 4 * GiB + 100_000 * 1024 * 4 },
    })
    expect(fitOf(needs, { ramBytes: 2 * GiB, vramBytes: 4 * GiB }).fits).toBe(true)
  })

  it('has the least context that is of use where half of it would be less', () => {
    const needs = { weightsBytes: 0, contextBytesPerToken: 1024, contextLength: 1500, slots: 1 }
    const ramBytes = (1100 * 1024) / 0.9
    expect(fitOf(needs, { ramBytes, vramBytes: 0 })).toMatchObject({
      ...{ fits: true, isWhole: false, contextLength: 1024 },
    })
  })

  it('is never more than there is, and never worse with more memory', () => {
    const size = fc.integer({ min: 0, max: 200 }).map((gib) => gib * GiB)
    const model = fc.record({
      weightsBytes: size,
      contextBytesPerToken: fc.integer({ min: 0, max: 1_000_000 }),
      contextLength: fc.integer({ min: 1, max: 1_000_000 }),
      slots: fc.integer({ min: 1, max: 8 }),
    })
    fc.assert(
      fc.property(model, size, size, (of, ramBytes, more) => {
        const one = fitOf(of, { ramBytes, vramBytes: 0 })
        const other = fitOf(of, { ramBytes: ramBytes + more, vramBytes: 0 })
        expect(other.contextLength).toBeGreaterThanOrEqual(one.contextLength)
        if (!one.fits) return
        const takes = of.weightsBytes + of.contextBytesPerToken * one.contextLength * of.slots
        expect(takes).toBeLessThanOrEqual(one.freeBytes)
      }),
    )
  })
})

describe('free memory', () => {
  it.each([
    [
      'a container',
      '0::/\n',
      'sys/fs/cgroup',
      'anon 9\ninactive_file 1000\nactive_file 200\n',
      1200,
    ],
    ['a service', '0::/a.slice\n', 'sys/fs/cgroup/a.slice', 'active_file 5\n', 5],
    [
      'an older system',
      '4:cpu,memory:/docker/x\n1:name=systemd:/\n',
      'sys/fs/cgroup/memory/docker/x',
      'inactive_file 1\ntotal_inactive_file 70\ntotal_active_file 7\n',
      77,
    ],
    ['another system', '', 'nothing', '', 0],
  ])('counts what is kept of files: %s', (_, groups, folder, text, wanted) => {
    const root = mkdtempSync(join(tmpdir(), 'pinaivu-'))
    mkdirSync(join(root, 'proc/self'), { recursive: true })
    mkdirSync(join(root, folder), { recursive: true })
    writeFileSync(join(root, 'proc/self/cgroup'), groups)
    writeFileSync(join(root, folder, 'memory.stat'), text)
    expect(cachedFiles(root)).toBe(wanted)
    rmSync(root, { recursive: true })
  })
})
