import { describe, expect, it } from 'vitest'
import type { Hardware } from '../../src/engines/engine.ts'
import { hardwareFacts, readSystem } from '../../src/engines/hardware.ts'

const GIB = 1024 ** 3
const system = { cpu: 'AMD EPYC 7B13', cpuThreads: 8, ramBytes: 32 * GIB }
const onCpu: Hardware = {
  gpu: [],
  backend: 'cpu',
  vramTotalBytes: 0,
  vramFreeBytes: 0,
  cpuThreads: 8,
}
const onCuda: Hardware = {
  gpu: ['NVIDIA H200', 'NVIDIA H200'],
  backend: 'cuda',
  vramTotalBytes: 282 * GIB,
  vramFreeBytes: 200 * GIB,
  cpuThreads: 8,
}

describe('hardware facts', () => {
  it('are the processor, until a model tells of graphics cards', () => {
    const { cpu, cpuThreads, ramBytes } = system
    const alone = { gpus: [], cpu, cpuThreads, ramBytes, backend: 'cpu' }
    expect(hardwareFacts(system, [])).toEqual(alone)
    expect(hardwareFacts(system, [onCpu])).toEqual(alone)
  })

  it('list each card, with what the last model left', () => {
    const later = { ...onCuda, vramFreeBytes: 100 * GIB }
    expect(hardwareFacts(system, [onCpu, onCuda, later])).toMatchObject({
      backend: 'cuda',
      gpus: [
        { name: 'NVIDIA H200', vramTotalBytes: 141 * GIB, vramFreeBytes: 50 * GIB },
        { name: 'NVIDIA H200', vramTotalBytes: 141 * GIB, vramFreeBytes: 50 * GIB },
      ],
    })
  })

  it('bound and clean what firmware and drivers call themselves', () => {
    const gpu = Array.from({ length: 99 }, () => `Radeon\r\nX-Evil: 1\u{1f4a5}${'x'.repeat(300)}`)
    const { cpu, gpus } = hardwareFacts({ ...system, cpu: ' \0 ' }, [{ ...onCuda, gpu }])
    expect(cpu).toBe('unknown')
    expect(gpus).toHaveLength(16)
    expect(gpus[0]?.name).toMatch(/^Radeon X-Evil: 1 x+$/)
    expect(gpus[0]?.name).toHaveLength(100)
  })

  it('are read from this machine', () => {
    const facts = hardwareFacts(readSystem(), [])
    expect(facts.cpu).toMatch(/^[ -~]{1,100}$/)
    expect(facts.cpuThreads).toBeGreaterThan(0)
    expect(Number.isSafeInteger(facts.ramBytes) && facts.ramBytes > 0).toBe(true)
  })
})
