import { setTimeout as sleep } from 'node:timers/promises'
import type { Testnet, TestnetPeer } from '../testnet/index.ts'
import type { Said, TestnetRow } from './testnet-rows.ts'

const FRAME_MS = 1000

/** Shows what the peers of a testnet do, once a second, until the signal comes. */
export async function watchTestnet(
  { peers }: Testnet,
  show: (rows: readonly TestnetRow[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const said = new Map<TestnetPeer, Said>()
  // Each on its own: one that is frozen holds up neither the others nor the picture.
  const asking = peers.map(async (peer) => {
    while (!signal.aborted) {
      if (peer.state === 'up') said.set(peer, (await peer.figures({ signal })) ?? 'nothing')
      // What it said before it was gone counts no more.
      if (peer.state !== 'up') said.delete(peer)
      await pause(signal)
    }
  })
  while (!signal.aborted) {
    show(peers.map((peer): TestnetRow => [peer, said.get(peer)]))
    await pause(signal)
  }
  await Promise.all(asking)
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(FRAME_MS, undefined, { signal }).catch(() => {})
}
