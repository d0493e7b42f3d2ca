import type { Identity } from '../../src/identity/identity.ts'

/** Its signatures are there within the turn, so a test whose clock stands still need not wait for a thread. */
export const inThisThread = (identity: Identity): Identity => ({
  publicKey: identity.publicKey,
  peerId: identity.peerId,
  sign: (message) => identity.sign(message),
  signLater: async (message) => identity.sign(message),
  secretFor: (purpose) => identity.secretFor(purpose),
  privateKeySeed: () => identity.privateKeySeed(),
})
