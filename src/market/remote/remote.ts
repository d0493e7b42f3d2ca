import { within } from '../../base/deadline.ts'
import type { FrameStream } from '../../network/network.ts'
import type { Chunk } from '../../wire/chunk.ts'
import { protocols } from '../../wire/protocols.ts'
import { AnswerCheck, cancelledAnswer } from './answer-check.ts'
import type { Attempt, RemoteComponents } from './attempt.ts'
import { lost } from './provider-error.ts'
import { RemoteRun } from './remote-run.ts'

/** A connection that is there takes one round trip; a new one some more. */
export const OPEN_MS = 2_000

/**
 * Has one provider do one job: `accepted`, `progress`, `tokens`, `vectors`, and `done`. Fails with a
 * ProviderError where it does not come to that. After an abort, `done` says what was received.
 */
export async function remote(
  components: RemoteComponents,
  attempt: Attempt,
  { signal }: { signal: AbortSignal },
): Promise<AsyncIterable<Chunk>> {
  const stream = await openStream(components, attempt, signal)
  if (stream === undefined) return only(cancelledAnswer(new AnswerCheck(attempt)))
  return new RemoteRun(components, attempt, stream).chunks(signal)
}

async function* only(chunk: Chunk): AsyncGenerator<Chunk> {
  yield chunk
}

/** Undefined after an abort. */
async function openStream(
  { network, clock }: RemoteComponents,
  { peerId, addresses, firstTokenBy, isAfresh }: Attempt,
  signal: AbortSignal,
): Promise<FrameStream | undefined> {
  if (signal.aborted) return undefined
  // A connection that hangs takes a second to close.
  const openMs = isAfresh ? 2 * OPEN_MS : OPEN_MS
  const ms = Math.max(0, Math.min(openMs, firstTokenBy - clock.elapsed()))
  try {
    return await within(clock, { ms, what: 'Reaching the provider', signal }, async (ending) => {
      if (isAfresh) await network.disconnect(peerId)
      if (!network.isConnected(peerId)) await network.connect(peerId, addresses, { signal: ending })
      return await network.open(peerId, protocols.generate, { signal: ending })
    })
  } catch (cause) {
    if (signal.aborted) return undefined
    throw lost('unreachable', 'It cannot be reached.', cause)
  }
}
