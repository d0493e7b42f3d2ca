import { PeerError } from '../../base/errors.ts'

/** Somebody else answers where a peer was looked for. Its key proves who. */
export class OtherPeerError extends PeerError {
  readonly found: string

  constructor(found: string) {
    super('other_peer', `Another peer answers there: ${found}.`)
    this.found = found
  }
}
