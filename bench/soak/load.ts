import { Agent, type ClientRequest, type IncomingMessage, request as open } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Ask, type Draw, drawAsk, seededDraw } from './mix.ts'

/** Clients of each peer at a time. */
const CLIENTS = 3
const NEVER_READING = 1
/** Nothing that is asked here takes more than seconds. */
const ANSWER_MS = 60_000
/**
 * The peer lets a reader stall for 30 s, and Node counts them anew once the kernel has taken a last
 * part of what is to go out; the rest is for a busy machine.
 */
const HOLD_MS = 75_000
/** Once its buffers are read, a connection that was hung up on says so at once. */
const HANG_UP_MS = 5_000
/** 400 times 34 KiB: more than the kernel takes for a reader that takes nothing (10 MiB at most). */
const unreadPath = '/api/v1/openapi.json'
const UNREAD_REQUESTS = 400

/** Where it is asked. */
export interface Endpoint {
  name: string
  http: string
  apiKey: string
}

export interface Outcome {
  of: string
  kind: string
  /** A status, with the code of its error; or how the request ended without one. */
  outcome: string
  expected: boolean
  count: number
}

/** Asks until told to stop, and then until all that was asked has ended. */
export async function load(
  peer: Endpoint,
  options: { seed: number; stop: AbortSignal },
): Promise<Outcome[]> {
  const { seed, stop } = options
  const of = peer.name
  const agent = new Agent({ keepAlive: true })
  const outcomes = new Map<string, Outcome>()
  const count = (kind: string, outcome: string, expected: boolean) => {
    const key = `${kind} ${outcome} ${expected}`
    const known = outcomes.get(key) ?? { of, kind, outcome, expected, count: 0 }
    outcomes.set(key, { ...known, count: known.count + 1 })
  }
  const client = async (draw: Draw) => {
    while (!stop.aborted) {
      const ask = drawAsk(draw)
      const outcome = await ended(peer, agent, ask)
      const left = ask.leaveMs !== undefined && outcome === 'left'
      count(ask.kind, outcome, left || outcome === ask.expected)
    }
  }
  const neverReading = async () => {
    while (!stop.aborted) {
      const outcome = await unread(peer, stop)
      count('never reads', outcome, outcome !== 'still open')
    }
  }
  await Promise.all([
    ...Array.from({ length: CLIENTS }, (_, n) => client(seededDraw(seed + n))),
    ...Array.from({ length: NEVER_READING }, neverReading),
  ])
  agent.destroy()
  return [...outcomes].toSorted().map(([, outcome]) => outcome)
}

async function ended(peer: Endpoint, agent: Agent, ask: Ask): Promise<string> {
  const { leaveMs, key = peer.apiKey } = ask
  const request = open(`${peer.http}${ask.path}`, {
    method: 'POST',
    agent,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    request.destroy()
  }, leaveMs ?? ANSWER_MS)
  try {
    const response = await headOf(request, ask.body)
    let text = ''
    for await (const part of response.setEncoding('utf8')) text += part
    return outcomeOf(response, text)
  } catch (error) {
    if (late) return leaveMs === undefined ? `no end within ${ANSWER_MS / 1000} s` : 'left'
    return `no answer: ${error instanceof Error && 'code' in error ? error.code : error}`
  } finally {
    clearTimeout(timer)
  }
}

function headOf(request: ClientRequest, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
    request.end(body)
  })
}

function outcomeOf({ statusCode, headers }: IncomingMessage, text: string): string {
  const stream = headers['content-type']?.startsWith('text/event-stream') === true
  if (stream && text.endsWith('data: [DONE]\n\n')) return '200'
  try {
    // A stream that does not end so has the error as its last event.
    const last = text.slice(text.lastIndexOf('\ndata: ') + 1).replace(/^data: /, '')
    const body: { choices?: []; data?: []; error?: { code: string } } = JSON.parse(last)
    if (body.error !== undefined) return `${statusCode} ${body.error.code}`
    if (!stream && (body.choices ?? body.data) !== undefined) return `${statusCode}`
  } catch {
    // What is no JSON was cut off too.
  }
  return `${statusCode}, cut off`
}

/** Asks for more than all buffers hold, takes nothing of it, and looks later whether that was borne. */
async function unread(peer: Endpoint, stop: AbortSignal): Promise<string> {
  const { hostname, port, host } = new URL(peer.http)
  const socket = connect(Number(port), hostname).pause()
  socket.on('error', () => {})
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve('hung up')))
  socket.write(`GET ${unreadPath} HTTP/1.1\r\nhost: ${host}\r\n\r\n`.repeat(UNREAD_REQUESTS))
  try {
    await sleep(HOLD_MS, undefined, { signal: stop })
    socket.resume()
    return await Promise.race([closed, sleep(HANG_UP_MS, 'still open', { ref: false })])
  } catch (error) {
    if (stop.aborted) return 'left'
    throw error
  } finally {
    socket.destroy()
  }
}
