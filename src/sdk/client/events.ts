import { EventStreamDecoder } from '../event-stream.ts'
import { readSaidError } from '../said-error.ts'
import { bytesIn, cutOff, type Source } from './answer-stream.ts'

/** What stands behind the last event of a whole answer. */
const DONE = '[DONE]'
/** Of one event: at the end of a turn, that is all of the answer, in JSON. */
const EVENT_BYTES_MAX = 32 * 1024 * 1024

interface Named {
  name: string
  data: string
}

async function* eventsIn(source: Source): AsyncGenerator<Named> {
  const events = new EventStreamDecoder(EVENT_BYTES_MAX)
  for await (const piece of bytesIn(source)) {
    events.push(piece)
    for (let data = events.next(); data !== undefined; data = events.next()) {
      yield { name: events.name, data }
    }
  }
}

/** The events of an answer, up to the mark that says that it is whole. */
export async function* answerEvents<T>(source: Source): AsyncGenerator<T> {
  for await (const event of eventsIn(source)) {
    if (event.data === DONE) return
    yield jsonOf<T>(event, source)
  }
  throw cutOff(source.exchange)
}

/** Events without an end of their own: when the peer lets go of its listener, that is all. */
export async function* feedEvents<T>(source: Source): AsyncGenerator<T> {
  for await (const event of eventsIn(source)) yield jsonOf<T>(event, source)
}

/** Its JSON; where it has a name, with that as `event`. */
function jsonOf<T>({ name, data }: Named, { exchange }: Source): T {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {}
  if (typeof value !== 'object' || value === null) {
    throw exchange.failed('malformed', 'An event of the answer is no JSON object.')
  }
  if (name === 'error' || 'error' in value) {
    const { code, message, param, requestId } = readSaidError(data)
    throw exchange.failed(code ?? 'error', message ?? 'The answer broke off.', {
      ...{ param, requestId },
    })
  }
  return (name === '' ? value : { ...value, event: name }) as T
}
