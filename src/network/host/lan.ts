import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { lanAnswer, lanQuestion, readLanMessage, serviceOf } from './lan-messages.ts'

/** Of mDNS, RFC 6762. */
const GROUP = '224.0.0.251'
const PORT = 5353
/** The first question may be lost, or asked before the others listen. */
const ASK_AGAIN_MS = 1_000
const ASK_EVERY_MS = 10_000
/** However many ask, all hear the same answer; RFC 6762, section 6, allows one a second. */
const ANSWER_EVERY_MS = 1_000

export interface LanComponents {
  clock: Clock
  logger: Logger
  /** Of the interfaces to speak on; asked again and again, as cables come and go. */
  interfaces?: () => string[]
}

export interface LanOptions {
  network: string
  peerId: string
  /** Of this peer, each ending in its id. */
  addresses(): string[]
  /** Called for each answer of another, which is anybody's claim. */
  onPeer(peerId: string, addresses: string[]): void
  port?: number
}

/**
 * Looks for peers on the local networks by mDNS, and answers those that look. Speaks on every
 * interface by name: left to the system, all is said where the default route leads, which may be a
 * tunnel or nowhere.
 */
export class Lan {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #interfaces: () => string[]
  readonly #options: LanOptions
  readonly #service: string
  #socket: Socket | undefined
  #cancelQuestion = () => {}
  #cancelAnswer: (() => void) | undefined
  #answeredAt = Number.NEGATIVE_INFINITY
  /** The end of what is being said: one word after the other, as each names its interface. */
  #said: Promise<void> = Promise.resolve()

  constructor({ clock, logger, interfaces = ownInterfaces }: LanComponents, options: LanOptions) {
    this.#clock = clock
    this.#logger = logger
    this.#interfaces = interfaces
    this.#options = options
    this.#service = serviceOf(options.network)
  }

  /** Never fails: a peer without a local network may have other ways to join. */
  async start(): Promise<void> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    try {
      socket.bind(this.#options.port ?? PORT)
      await once(socket, 'listening')
      socket.setMulticastTTL(255)
      socket.setMulticastLoopback(true)
    } catch (error) {
      socket.close()
      this.#logger.warn('peers on the local network are not looked for', {
        error: messageOf(error),
      })
      return
    }
    socket.on('error', (error) => this.#logger.debug('mDNS', { error: messageOf(error) }))
    socket.on('message', (bytes) => this.#hear(bytes))
    this.#socket = socket
    this.#ask(ASK_AGAIN_MS)
  }

  async stop(): Promise<void> {
    this.#cancelQuestion()
    this.#cancelAnswer?.()
    const socket = this.#socket
    this.#socket = undefined
    await this.#said
    socket?.close()
  }

  #ask(againMs: number): void {
    for (const address of this.#interfaces()) this.#listenOn(address)
    this.#say(lanQuestion(this.#service))
    this.#cancelQuestion = this.#clock.after(againMs, () => this.#ask(ASK_EVERY_MS))
  }

  #hear(bytes: Uint8Array): void {
    const { peerId, onPeer } = this.#options
    const message = readLanMessage(bytes, this.#service)
    if (message?.type === 'question') this.#answerSoon()
    else if (message !== undefined && message.peerId !== peerId) {
      onPeer(message.peerId, message.addresses)
    }
  }

  #answerSoon(): void {
    if (this.#cancelAnswer !== undefined) return
    const sinceMs = this.#clock.elapsed() - this.#answeredAt
    this.#cancelAnswer = this.#clock.after(Math.max(0, ANSWER_EVERY_MS - sinceMs), () => {
      this.#cancelAnswer = undefined
      this.#answeredAt = this.#clock.elapsed()
      const { peerId, addresses } = this.#options
      this.#say(lanAnswer(this.#service, { peerId, addresses: addresses() }))
    })
  }

  #listenOn(address: string): void {
    try {
      this.#socket?.addMembership(GROUP, address)
    } catch (error) {
      // It listens there since the last time.
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return
      this.#logger.debug('mDNS is not heard', { address, error: messageOf(error) })
    }
  }

  #say(message: Uint8Array): void {
    this.#said = this.#said.then(async () => {
      for (const address of this.#interfaces()) {
        try {
          await this.#sayOn(address, message)
        } catch (error) {
          this.#logger.debug('mDNS is not said', { address, error: messageOf(error) })
        }
      }
    })
  }

  #sayOn(address: string, message: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket
      if (socket === undefined) return resolve()
      socket.setMulticastInterface(address)
      socket.send(message, this.#options.port ?? PORT, GROUP, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
  }
}

/** All that lead to other machines; without any, other peers of this one are still heard. */
function ownInterfaces(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const ofIp4 = all.filter(({ family }) => family === 'IPv4')
  const outer = ofIp4.filter(({ internal }) => !internal)
  return (outer.length > 0 ? outer : ofIp4).map(({ address }) => address)
}
