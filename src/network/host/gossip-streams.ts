import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { gossipLimits as limits } from './limits.ts'

/** What gossipsub's class has as public and its exported type has not. */
interface Inside {
  peers: ReadonlyMap<string, PeerId>
  streamsOutbound: ReadonlyMap<string, { rawStream: Stream }>
  createOutboundStream(peerId: PeerId, connection: Connection): Promise<void>
  stop(): Promise<void>
}

interface Neighbour {
  connections: Set<Connection>
  /** Ends the pause before the next try. */
  wake(): void
}

/**
 * Gossipsub opens its streams one after the other, so that a neighbour which does not answer holds up
 * all others; and once a stream is gone, as that of a neighbour that was too slow for a while or that
 * has a second connection, it opens none again. Here each has its own turn, and the next one too.
 */
export function mendStreams(pubsub: GossipSub, clock: Clock): void {
  const inside = pubsub as unknown as Inside
  const stopped = new AbortController()
  const neighbours = new Map<string, Neighbour>()
  const open = inside.createOutboundStream.bind(inside)
  const stop = inside.stop.bind(inside)

  const keepOpen = async (peerId: PeerId, neighbour: Neighbour) => {
    const id = peerId.toString()
    const connection = () => {
      const lives = inside.peers.has(id) && !stopped.signal.aborted
      return lives ? newestOpen(neighbour.connections) : undefined
    }
    for (let over = connection(); over !== undefined; over = connection()) {
      await open(peerId, over)
      const stream = inside.streamsOutbound.get(id)?.rawStream
      if (stream !== undefined) await closing(stream)
      if (connection() === undefined) break
      const woken = new AbortController()
      neighbour.wake = () => woken.abort()
      const ended = AbortSignal.any([stopped.signal, woken.signal])
      await clock.sleep(limits.reopenMs, ended).catch(() => {})
    }
    neighbours.delete(id)
  }

  inside.createOutboundStream = async (peerId, connection) => {
    const id = peerId.toString()
    const known = neighbours.get(id)
    if (known !== undefined) {
      known.connections.add(connection)
      known.wake()
      return
    }
    const neighbour = { connections: new Set([connection]), wake() {} }
    neighbours.set(id, neighbour)
    void keepOpen(peerId, neighbour)
  }
  inside.stop = async () => {
    stopped.abort()
    await stop()
  }
}

function newestOpen(connections: Set<Connection>): Connection | undefined {
  for (const each of connections) if (each.status !== 'open') connections.delete(each)
  return [...connections].at(-1)
}

function closing(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open' && stream.status !== 'closing') resolve()
    else stream.addEventListener('close', () => resolve(), { once: true })
  })
}
