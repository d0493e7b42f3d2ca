import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { type Logger, silentLogger } from '../../src/base/logger.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import { UnusedGpu } from '../../src/unused-gpu.ts'
import { fakeBus, fakeProgram } from './stage.ts'

const nvidia = { kind: '0x030200', maker: '0x10de' }

/** What a peer says once its first model is loaded, on a machine with these devices. */
async function said(devices: (typeof nvidia)[], backend: 'cpu' | 'cuda', script?: string) {
  const lines: string[] = []
  const logger: Logger = {
    ...silentLogger,
    error: (message) => lines.push(message),
    warn: (message) => lines.push(message),
    child: () => logger,
  }
  let tell: (status: ModelStatus) => void = () => {}
  const engine = {
    onChange(listener: (status: ModelStatus) => void) {
      tell = listener
      return () => {}
    },
    hardware: () => ({ gpus: [], cpu: 'x', cpuThreads: 1, ramBytes: 1, backend }),
  }
  const PATH = script === undefined ? '/nowhere' : fakeProgram('nvidia-smi', script)
  const parts = { engine, clock: systemClock, logger, env: { PATH }, root: fakeBus(devices) }
  const unusedGpu = new UnusedGpu(parts)
  await unusedGpu.start()
  const status = { name: 'm', created: 0, demo: false, running: 0, queued: 0 }
  tell({ ...status, state: 'loading' })
  tell({ ...status, state: 'ready' })
  tell({ ...status, state: 'ready' })
  await unusedGpu.settled()
  await unusedGpu.stop()
  return lines
}

describe('a graphics card that is not used', () => {
  it('is told of as an error, once, with its cause', async () => {
    expect(await said([nvidia], 'cpu')).toEqual([
      expect.stringMatching(
        /its driver is missing.* Models run on the processor.*Install the NVIDIA/,
      ),
    ])
    expect(await said([nvidia], 'cpu', "echo '470.256.02, NVIDIA H200'")).toEqual([
      expect.stringMatching(/NVIDIA H200 is not used: its driver 470\.256\.02 is too old/),
    ])
  })

  it('is not told of where it is used, or where there is none', async () => {
    expect(await said([nvidia], 'cuda')).toEqual([])
    expect(await said([], 'cpu')).toEqual([])
  })
})
