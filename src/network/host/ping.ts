import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { unlessAborted } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'

const PING_BYTES = 32

/** One ping of libp2p's protocol. Its own client counts whole milliseconds, and the negotiation too. */
export async function ping(
  components: { connection: Connection; clock: Clock; random: Random },
  protocol: string,
  signal: AbortSignal,
): Promise<number> {
  const { connection, clock, random } = components
  const options = { signal, runOnLimitedConnection: true }
  const stream = await connection.newStream(protocol, options)
  try {
    const sent = random.bytes(PING_BYTES)
    const answered = Promise.withResolvers<number>()
    let received = Buffer.alloc(0)
    stream.addEventListener('message', ({ data }) => {
      received = Buffer.concat([received, data.subarray()])
      if (received.length >= PING_BYTES) answered.resolve(clock.elapsed() - began)
    })
    stream.addEventListener('close', () =>
      answered.reject(new PeerError('connection_lost', 'The ping was not answered.')),
    )
    const began = clock.elapsed()
    stream.send(sent)
    const ms = await unlessAborted(answered.promise, signal)
    if (!received.equals(sent)) {
      const action = 'penalise'
      throw new PeerError('bad_ping', 'A ping was answered with other bytes.', { action })
    }
    await stream.close({ signal })
    return ms
  } catch (error) {
    stream.abort(error as Error)
    throw error
  }
}
