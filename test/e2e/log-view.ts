import { expect } from 'vitest'
import { ask, type PeerProcess, type Ready } from './peer-process.ts'

export interface LogHead {
  author: string
  epoch: string
  size: number
  root: string
}

/** A message that gossip loses is found in the next round of an archive. */
export const patienceMs = 45_000

export const within = (timeout: number) => ({ timeout, interval: 50 })

/** The newest head of each log that this peer shows, or of this author's. */
export async function headsOf({ ready }: PeerProcess, author?: Ready): Promise<LogHead[]> {
  const { data } = (await (await ask(ready, '/v8/log/heads')).json()) as { data: LogHead[] }
  return data
    .filter((head) => author === undefined || head.author === author.peerId)
    .map(({ author, epoch, size, root }) => ({ author, epoch, size, root }))
}

/** What a peer shows of its own log. */
export const ownHeads = (peer: PeerProcess) => headsOf(peer, peer.ready)

/** Both show the same of this author, and something. */
export async function untilAlike(
  viewer: PeerProcess,
  author: PeerProcess,
  ms = patienceMs,
): Promise<void> {
  const isAlike = async () => {
    const [there, own] = [await headsOf(viewer, author.ready), await ownHeads(author)]
    return own.length !== 0 && JSON.stringify(there) === JSON.stringify(own)
  }
  await expect.poll(isAlike, within(ms)).toBe(true)
}
