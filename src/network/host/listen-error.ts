import { messageOf, PeerError } from '../../base/errors.ts'

/** What libp2p's report of failed listeners says, by the system's own code in its text. */
const causes: [system: string, code: string, advice: string][] = [
  [
    'EADDRINUSE',
    'address_in_use',
    'Another program (or another peer) listens there. Stop it, or choose another port with --listen, such as /ip4/0.0.0.0/tcp/0 for any free one.',
  ],
  ['EACCES', 'address_forbidden', 'Ports below 1024 are reserved. Choose another with --listen.'],
  [
    'EADDRNOTAVAIL',
    'address_not_available',
    'This machine has no such address. Choose another with --listen.',
  ],
]

/** Turns the failure of a start into one that says what to do; anything else passes unchanged. */
export function listenError(error: unknown): unknown {
  const text = messageOf(error)
  for (const [system, code, advice] of causes) {
    const where = new RegExp(`${system}[^\\n]*?([0-9a-f.:]+:[0-9]+)`).exec(text)?.[1]
    if (text.includes(system)) {
      const message = `Can't listen${where === undefined ? '' : ` on ${where}`}. ${advice}`
      return new PeerError(code, message, { param: 'listen', cause: error })
    }
  }
  return error
}
