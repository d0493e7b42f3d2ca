import type { EngineProbe } from '../engines/llama/probe.ts'
import { advised, type Found, ok, warn } from './finding.ts'
import type { Graphics, Maker, NvidiaDriver } from './graphics.ts'
import { isOlder } from './node-version.ts'
import type { RunningPeer } from './peer-seen.ts'
import { bytesText } from './text.ts'

/** What llama.cpp computes with: said by the running peer, or found out just now. */
export interface Used {
  backend: string
  cards: readonly { name: string; vramTotalBytes: number }[]
}

/** The oldest driver that runs CUDA 12, and the first for CUDA 13. llama.cpp comes built for both. */
const CUDA_12_DRIVER = '525'
const CUDA_13_DRIVER = '580'

/** What the running peer's models were loaded with; undefined until one is. */
export function usedBy({ models, gpus, backend }: RunningPeer): Used | undefined {
  if (!models.some(({ state }) => state === 'ready')) return undefined
  return { backend, cards: gpus }
}

export function usedIn({ hardware }: EngineProbe): Used | undefined {
  if (hardware === undefined) return undefined
  const { gpu, backend, vramTotalBytes } = hardware
  const each = Math.floor(vramTotalBytes / Math.max(1, gpu.length))
  return { backend, cards: gpu.map((name) => ({ name, vramTotalBytes: each })) }
}

/** Whether there is a card, and whether it is used; if not, why not. */
export function gpu(
  used: Used | undefined,
  there: Graphics,
  probe: EngineProbe | undefined,
): Found {
  if (used === undefined) {
    const { code, message } = probe?.error ?? {
      code: 'engine_unavailable',
      message: 'llama.cpp does not start on this machine. Run npm install again.',
    }
    return { ...advised('fail', code, message) }
  }
  if (used.backend !== 'cpu') {
    const names = used.cards.map(({ name, vramTotalBytes }) =>
      vramTotalBytes > 0 ? `${name} (${bytesText(vramTotalBytes)})` : name,
    )
    return ok(`llama.cpp uses ${names.join(', ') || 'the graphics card'} through ${used.backend}.`)
  }
  const maker = worthIt.find((each) => there.makers.includes(each))
  if (maker === undefined) return ok('There is no graphics card: models run on the processor.')
  const { cause, next, code } =
    maker === 'NVIDIA' ? nvidiaFault(there, probe) : vulkanFault(maker, there, probe)
  return warn(code, `${cause} Models run on the processor, many times slower.`, next)
}

/** Whose is told of first. What Intel builds into processors is hardly faster than those. */
const worthIt: readonly Maker[] = ['NVIDIA', 'AMD']

interface Fault {
  code: string
  cause: string
  next: string
}

function nvidiaFault(there: Graphics, probe: EngineProbe | undefined): Fault {
  const { nvidia, inContainer, hiddenBy } = there
  if (nvidia.type !== 'works' && inContainer) {
    return {
      code: 'gpu_not_in_container',
      cause: 'The machine has an NVIDIA card, and this container was not given it.',
      next: 'Start the container with the card (docker run --gpus all) and the NVIDIA Container Toolkit.',
    }
  }
  switch (nvidia.type) {
    case 'missing':
      return {
        code: 'driver_missing',
        cause: 'There is an NVIDIA card, but its driver is missing: there is no nvidia-smi.',
        next: `Install the NVIDIA driver, ${CUDA_12_DRIVER} or newer, and restart the machine.`,
      }
    case 'broken':
      return brokenDriver(nvidia)
    case 'works':
      return unusedNvidia(nvidia, hiddenBy, probe)
  }
}

/** By what nvidia-smi ends with, as its manual lists it. */
function brokenDriver({ status, says }: NvidiaDriver & { type: 'broken' }): Fault {
  const fault = (code: string, cause: string, next: string) => ({
    code,
    cause: `${cause} (nvidia-smi: ${says}).`,
    next,
  })
  if (/version mismatch/i.test(says)) {
    return fault(
      'driver_half_updated',
      "The NVIDIA driver was updated, and the system's kernel still runs the old one",
      'Restart the machine.',
    )
  }
  switch (status) {
    case 9:
      return fault(
        'driver_not_loaded',
        'The NVIDIA driver is installed, but not loaded',
        'Load it (sudo modprobe nvidia); if that fails, install it again for the present kernel and ' +
          'restart the machine.',
      )
    case 15:
      return fault(
        'gpu_lost',
        'The NVIDIA card does not answer any more',
        'Restart the machine. If it comes again, look at its power and cooling (dmesg says more).',
      )
    default:
      return fault(
        'driver_broken',
        'The NVIDIA driver does not work',
        `Install the NVIDIA driver again, ${CUDA_12_DRIVER} or newer, and restart the machine.`,
      )
  }
}

function unusedNvidia(
  { version, names }: NvidiaDriver & { type: 'works' },
  hiddenBy: string | undefined,
  probe: EngineProbe | undefined,
): Fault {
  const cards = names.join(', ')
  if (isOlder(version, CUDA_12_DRIVER)) {
    return {
      code: 'driver_too_old',
      cause: `${cards} is not used: its driver ${version} is too old.`,
      next: `Install the NVIDIA driver ${CUDA_12_DRIVER} or newer, and restart the machine.`,
    }
  }
  if (hiddenBy !== undefined) {
    return {
      code: 'gpu_hidden',
      cause: `${cards} is not used: it is hidden by ${hiddenBy}.`,
      next: 'Remove that variable from the environment of the peer, and restart it.',
    }
  }
  const cuda = isOlder(version, CUDA_13_DRIVER) ? '12' : '13'
  if (probe?.error === undefined && probe?.usable.includes('cuda') !== true) {
    return {
      code: 'cuda_missing',
      cause: `${cards} is not used: the driver ${version} works, but CUDA's libraries are missing.`,
      next: `Install the runtime of CUDA ${cuda} (libcudart and libcublas), and restart the peer.`,
    }
  }
  return {
    code: 'gpu_unused',
    cause: `${cards} is not used, though the driver ${version} and CUDA are there.`,
    next:
      'Run "npm install" again without --omit=optional, and start the peer with --log-level debug: ' +
      'the lines "engine process says" tell why.',
  }
}

function vulkanFault(maker: Maker, { hiddenBy }: Graphics, probe: EngineProbe | undefined): Fault {
  const missing = probe?.usable.includes('vulkan') !== true
  const hidden = hiddenBy === undefined ? '' : ` ${hiddenBy} may hide it.`
  return {
    code: missing ? 'vulkan_missing' : 'gpu_unused',
    cause: missing
      ? `There is a card by ${maker}, but Vulkan, by which it would be used, is missing.`
      : `There is a card by ${maker}, which Vulkan does not offer.${hidden}`,
    next:
      'Install the Vulkan loader and driver (on Debian and Ubuntu libvulkan1 and ' +
      'mesa-vulkan-drivers), and let the user of the peer use /dev/dri (group render).',
  }
}
