import { systemClock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import { EngineCore } from './core/engine-core.ts'
import type { ToEngine } from './ipc.ts'

/**
 * The engine process: the peer forks it and speaks `ipc.ts` with it. A process of its own, because a
 * malformed model file or a GPU out of memory ends the whole process it happens in.
 */
const core = new EngineCore({
  send: (message) => {
    // The peer is gone when this fails, and `disconnect` follows.
    process.send?.(message, undefined, undefined, () => {})
  },
  clock: systemClock,
})

process.on('message', (message) => {
  core.handle(message as ToEngine).catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exit(1)
  })
})
// The peer may have been killed without a word: nobody wants this model's memory held any longer.
process.on('disconnect', () => process.exit(0))
// Ctrl-C reaches the whole group; the peer drains its answers first and ends this process itself.
process.on('SIGINT', () => {})
