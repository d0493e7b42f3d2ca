import { createVerifyNative, type Verify } from '../../src/simulation.ts'

/** Signatures that are remembered: an advert is checked by each peer that hears it. */
const REMEMBERED_MAX = 10_000

/** The same verdict, found once for all peers of the process. */
export function verifyOnce(): Verify {
  const verify = createVerifyNative()
  const known = new Map<string, boolean>()
  return (publicKey, message, signature) => {
    const name = Buffer.concat([publicKey, signature, message]).toString('latin1')
    let holds = known.get(name)
    if (holds === undefined) {
      holds = verify(publicKey, message, signature)
      if (known.size >= REMEMBERED_MAX) known.clear()
      known.set(name, holds)
    }
    return holds
  }
}
