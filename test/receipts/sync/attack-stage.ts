import type { Identity } from '../../../src/identity/identity.ts'
import { ExampleLog } from '../../wire/log-examples.ts'
import { notes } from '../feeds/stage.ts'
import { identityOf, LogPeers } from './peers-stage.ts'
import { scripted } from './scripted.ts'

export const [alice, bob, carol, dora, mallory] = [1, 2, 3, 4, 5].map(identityOf) as [
  Identity,
  Identity,
  Identity,
  Identity,
  Identity,
]

/** With `fork`, other entries from that index on. */
export const logOf = (who: Identity, size: number, fork = size) =>
  new ExampleLog(who).append(...notes(fork), ...notes(size - fork, 1_000_000))

/** An archive, and somebody who answers it as the test likes. */
export async function under(answer: Parameters<typeof scripted>[0]) {
  const peers = new LogPeers()
  const archive = await peers.peer(alice, { archive: true })
  const hostile = await peers.hostile(mallory, scripted(answer))
  await peers.connect(hostile, archive)
  return { peers, archive, hostile }
}

export const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
