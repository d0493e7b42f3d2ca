import type { FastifyInstance, FastifyReply } from 'fastify'
import { BusyError } from '../base/errors.ts'
import { carriedUntil, clientGone } from './client-signal.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Set where a body may come: so many more bytes are held for it. */
    take: ((bytes: number) => void) | undefined
  }
}

/** Nobody is kept out for so little: as many as there may be connections hold less than 800 MB. */
const SMALL_BYTES = 64 * 1024
/** However much one account sends, so much stays for the others. */
const ACCOUNT_PART = 0.5

/** What all bodies hold that have come, or are coming, and are not answered yet. */
class BodyRoom {
  readonly #bytesMax: number
  readonly #byAccount = new Map<string, number>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  has(account: string, more: number): boolean {
    const own = this.#byAccount.get(account) ?? 0
    return this.#bytes + more <= this.#bytesMax && own + more <= this.#bytesMax * ACCOUNT_PART
  }

  add(account: string, bytes: number): void {
    const own = (this.#byAccount.get(account) ?? 0) + bytes
    this.#bytes += bytes
    if (own === 0) this.#byAccount.delete(account)
    else this.#byAccount.set(account, own)
  }
}

/**
 * For what is held for a request as if it had come in its body: files that it only names. Throws a
 * BusyError where there is no room for them.
 */
export function takeRoom(reply: FastifyReply, bytes: number): void {
  reply.take?.(bytes)
}

/**
 * Large bodies are refused where there is no more room for them: each is held in memory whole, and
 * what was read from it too, until its answer is out. Those that are not JSON are held by nobody.
 */
export function limitBodies(app: FastifyInstance, bytesMax: number): void {
  const room = new BodyRoom(bytesMax)
  app.decorateReply('take', undefined)
  app.addHook('preParsing', (request, reply, payload, done) => {
    const { access } = request.routeOptions.config
    const type = request.headers['content-type'] ?? ''
    if (access === 'public' || !/^application\/json/i.test(type)) return done(null, payload)
    const { account } = request.principal
    let bytes = 0
    let held = 0
    /** Of the body. */
    let counted = 0
    let isFree = false
    const take = (more: number) => {
      if (isFree) return
      if (!room.has(account, more)) {
        throw new BusyError('Too many large bodies are being worked on.')
      }
      room.add(account, more)
      held += more
      if (held > more) return
      // The work for an answer may go on although nobody waits for it.
      if (clientGone(reply.raw)) leave()
      else reply.raw.once('close', leave)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      // What is refused already is only read away.
      if (bytes <= SMALL_BYTES || reply.sent) return
      try {
        take(bytes - counted)
        counted = bytes
      } catch (error) {
        payload.off('data', onData)
        payload.emit('error', error)
      }
    }
    const leave = () => {
      payload.off('data', onData)
      const free = () => {
        isFree = true
        room.add(account, -held)
      }
      const over = carriedUntil(reply)
      if (over === undefined) free()
      else over.then(free)
    }
    reply.take = take
    // What says that it is small is no larger: Node sees to it.
    if (!isSmall(request.headers['content-length'])) payload.on('data', onData)
    done(null, payload)
  })
}

const isSmall = (length: string | undefined): boolean =>
  length !== undefined && Number(length) <= SMALL_BYTES
