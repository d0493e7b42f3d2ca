import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { hmacSha256 } from '../../wire/hmac.ts'

export interface FileLink {
  /** Seconds since the epoch. */
  expires: number
  signature: string
}

/** Long enough to look at what was sent, and to hand it on to a service that fetches it. */
const LINK_SECONDS = 3600
/** A media file is used soon after it was sent; its duration does not change. */
const DURATION_SECONDS = 86_400

/** What this peer says of a file so that it knows its own word again: nobody else can say it. */
export class FileLinks {
  readonly #secret: Uint8Array
  readonly #clock: Clock

  constructor({ secret, clock }: { secret: Uint8Array; clock: Clock }) {
    this.#secret = secret
    this.#clock = clock
  }

  /** Lets whoever has it read this file for a while, without a key. */
  linkTo(id: string): FileLink {
    const expires = this.#now() + LINK_SECONDS
    return { expires, signature: this.#sign('link', id, expires) }
  }

  /** Looks at no file: of one that never was, it says the same. */
  check(id: string, { expires, signature }: FileLink): void {
    if (!isSame(signature, this.#sign('link', id, expires))) {
      throw new PeerError('link_invalid', 'This link is not one that this peer made.')
    }
    if (this.#now() >= expires) {
      throw new PeerError('link_expired', 'This link has expired. Ask for the file’s `url` again.')
    }
  }

  /** How long this file plays, for requests that are charged by it. */
  durationToken(id: string, durationMs: number): string {
    const expires = this.#now() + DURATION_SECONDS
    return `${durationMs}.${expires}.${this.#sign(`duration:${durationMs}`, id, expires)}`
  }

  #now(): number {
    return Math.floor(this.#clock.now() / 1000)
  }

  #sign(purpose: string, id: string, expires: number): string {
    const said = Buffer.from(`${purpose}|${id}|${expires}`)
    return Buffer.from(hmacSha256(this.#secret, said)).toString('base64url')
  }
}

function isSame(a: string, b: string): boolean {
  const [given, expected] = [Buffer.from(a), Buffer.from(b)]
  return given.length === expected.length && timingSafeEqual(given, expected)
}
