import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Found } from '../../src/doctor/finding.ts'
import { gpu, usedIn } from '../../src/doctor/gpu.ts'
import { readGraphics } from '../../src/doctor/graphics.ts'
import { type EngineProbe, probeEngine } from '../../src/engines/llama/probe.ts'
import { diagnose, fakeBus, fakeProgram } from './stage.ts'

// The cards and drivers are as the kernel and the manual of nvidia-smi describe them; llama.cpp is
// the real one, and finds none of them on a machine without a card.

const nvidia = { kind: '0x030200', maker: '0x10de' }
const radeon = { kind: '0x030000', maker: '0x1002' }
const bridge = { kind: '0x060000', maker: '0x8086' }

let probe: EngineProbe

beforeAll(async () => {
  const signal = AbortSignal.timeout(25_000)
  probe = await probeEngine({ env: { PATH: '/nowhere' }, models: [], signal })
})

async function look(
  devices: (typeof nvidia)[],
  script?: string,
  env: Record<string, string> = {},
  ms = 25_000,
): Promise<Found> {
  const PATH = script === undefined ? '/nowhere' : fakeProgram('nvidia-smi', script)
  const signal = new AbortController().signal
  const sources = { env: { PATH, ...env }, root: fakeBus(devices), ms, signal }
  return gpu(usedIn(probe), await readGraphics(sources), probe)
}

const answers = (version: string) => `echo '${version}, NVIDIA H200'`

describe('a graphics card', () => {
  it('that is not there is not missed', async () => {
    expect(await look([bridge])).toMatchObject({ verdict: 'ok' })
  })

  it('without its driver', async () => {
    const more = { root: fakeBus([bridge, nvidia]) }
    const [found] = await diagnose('gpu', { more })
    expect(found).toMatchObject({ verdict: 'warn', code: 'driver_missing' })
    expect(found?.cause).toMatch(/NVIDIA card, but its driver is missing/)
    expect(found?.next).toMatch(/Install the NVIDIA driver, 525 or newer/)
  })

  it('with a driver that is too old', async () => {
    const found = await look([nvidia], answers('470.256.02'))
    expect(found).toMatchObject({ verdict: 'warn', code: 'driver_too_old' })
    expect(found.cause).toContain('470.256.02')
    expect(found.next).toContain('525')
  })

  it('with a driver that is not loaded', async () => {
    const says =
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. " +
      'Make sure that the latest NVIDIA driver is installed and running.'
    const found = await look([nvidia], `echo "${says}"; exit 9`)
    expect(found).toMatchObject({ verdict: 'warn', code: 'driver_not_loaded' })
    expect(found.cause).toContain('NVIDIA-SMI has failed')
    expect(found.next).toContain('modprobe nvidia')
  })

  it('with a driver that was updated under a running system', async () => {
    const script = 'echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18'
    const found = await look([nvidia], script)
    expect(found).toMatchObject({ verdict: 'warn', code: 'driver_half_updated' })
    expect(found.next).toBe('Restart the machine.')
  })

  it('with a driver that hangs', async () => {
    const found = await look([nvidia], 'kill -STOP $$', {}, 500)
    expect(found).toMatchObject({ verdict: 'warn', code: 'driver_broken' })
    expect(found.cause).toContain('it gave no answer')
  })

  it('that a container was not given', async () => {
    const root = fakeBus([nvidia])
    writeFileSync(join(root, '.dockerenv'), '')
    const [found] = await diagnose('gpu', { more: { root } })
    expect(found).toMatchObject({ verdict: 'warn', code: 'gpu_not_in_container' })
    expect(found?.next).toContain('docker run --gpus all')
  })

  it('that is found, but not used for want of CUDA', async () => {
    const found = await look([nvidia], answers('570.86.15'))
    expect(found).toMatchObject({ verdict: 'warn', code: 'cuda_missing' })
    expect(found.cause).toMatch(/NVIDIA H200 is not used.*run on the processor/)
    expect(found.next).toMatch(/CUDA 12 \(libcudart and libcublas\)/)
    expect((await look([nvidia], answers('580.95.05'))).next).toMatch(/CUDA 13/)
  })

  it('that is hidden from programs', async () => {
    const found = await look([nvidia], answers('570.86.15'), { CUDA_VISIBLE_DEVICES: '-1' })
    expect(found).toMatchObject({ verdict: 'warn', code: 'gpu_hidden' })
    expect(found.cause).toContain('CUDA_VISIBLE_DEVICES="-1"')
  })

  it('of another maker', async () => {
    const found = await look([radeon])
    expect(found).toMatchObject({ verdict: 'warn', next: expect.stringContaining('libvulkan1') })
    expect(found.cause).toContain('AMD')
  })
})
