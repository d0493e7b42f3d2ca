import type { FastifyInstance } from 'fastify'
import { BusyError } from '../base/errors.ts'
import { carriedUntil } from './client-signal.ts'

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
 * Large bodies are refused where there is no more room for them: each is held in memory whole, and
 * what was read from it too, until its answer is out. Those that are not JSON are held by nobody.
 */
export function limitBodies(app: FastifyInstance, bytesMax: number): void {
  const room = new BodyRoom(bytesMax)
  app.addHook('preParsing', (request, reply, payload, done) => {
    const { access } = request.routeOptions.config
    const type = request.headers['content-type'] ?? ''
    if (access === 'public' || !/^application\/json/i.test(type)) return done(null, payload)
    const { account } = request.principal
    let bytes = 0
    let held = 0
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      // What is refused already is only read away.
      if (bytes <= SMALL_BYTES || reply.sent) return
      if (!room.has(account, bytes - held)) {
        payload.off('data', onData)
        payload.emit('error', new BusyError('Too many large bodies are being worked on.'))
        return
      }
      if (held === 0) reply.raw.once('close', leave)
      room.add(account, bytes - held)
      held = bytes
    }
    const leave = () => {
      payload.off('data', onData)
      const free = () => room.add(account, -held)
      const over = carriedUntil(reply)
      if (over === undefined) free()
      else over.then(free)
    }
    payload.on('data', onData)
    done(null, payload)
  })
}
