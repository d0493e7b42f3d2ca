import type { FrameStream, Network, StreamHandler } from '../../src/simulation.ts'
import { changed, changedStream } from './changed.ts'
import type { Dice } from './dice.ts'

/** In what one lies: whoever lies in everything is soon asked for nothing. */
const SUBJECTS = ['generate/1', 'generate/1', 'generate/1', 'sync/1', 'status/1', 'advert/1']
const LIES = ['twice', 'left out', 'too late', 'rubbish', 'silence', 'gone', 'none'] as const
/** The lie comes within so many frames. */
const FRAMES_MAX = 20

/**
 * As a peer that does its work and spoils what it says of it. What it cannot do here is answer with
 * words of its own: that no frame shows.
 */
export function hostileNetwork(network: Network, dice: Dice): Network {
  const subject = dice.pick(SUBJECTS)
  return changed(network, {
    handle: (protocol, handler, limits) => {
      const isLie = protocol === subject
      network.handle(protocol, isLie ? lyingHandler(handler, dice) : handler, limits)
    },
    open: async (peerId, protocol, options) => {
      const stream = await network.open(peerId, protocol, options)
      return protocol === subject ? spoilt(stream, dice).lying : stream
    },
  })
}

/** A stream on which it has fallen silent it does not end either. */
function lyingHandler(handler: StreamHandler, dice: Dice): StreamHandler {
  return async (stream) => {
    const { lying, isSilent } = spoilt(stream, dice)
    await handler(lying)
    if (isSilent()) await ended(stream)
  }
}

/** The stream as a liar writes to it, and whether nothing goes out any more. */
function spoilt(stream: FrameStream, dice: Dice) {
  const lie = dice.pick(LIES)
  const at = dice.below(FRAMES_MAX)
  const rubbish = dice.bytes(dice.between(1, 100))
  let count = 0
  let held: Uint8Array | undefined
  const write = (frame: Uint8Array): void => {
    const number = count++
    if (lie === 'silence' && number >= at) return
    if (number !== at) {
      stream.write(frame)
      if (held !== undefined) stream.write(held)
      held = undefined
    } else if (lie === 'gone') stream.reset(new Error('Gone.'))
    else if (lie === 'too late') held = frame
    else if (lie !== 'left out') {
      if (lie === 'rubbish') stream.write(rubbish)
      if (lie === 'twice') stream.write(frame)
      stream.write(frame)
    }
  }
  return { lying: changedStream(stream, write), isSilent: () => lie === 'silence' && count > at }
}

const ended = ({ ended: signal }: FrameStream): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
