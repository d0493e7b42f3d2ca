import { join } from 'node:path'
import type { Random } from '../base/random.ts'
import { type Identity, identityFromSeed } from './identity.ts'
import { loadOrCreateSecret, readSecret, type SecretFormat } from './secret-file.ts'

/** This peer's identity: from `identity.key` in the data folder, made there at the first start. */
export function loadIdentity(dataDir: string, components: { random: Random }): Promise<Identity> {
  const { random } = components
  const make = () => identityFromSeed(random.bytes(32))
  return loadOrCreateSecret(join(dataDir, IDENTITY_FILE), identityFormat, make, random)
}

/** The same without making one. */
export function readIdentity(dataDir: string): Promise<Identity | undefined> {
  return readSecret(join(dataDir, IDENTITY_FILE), identityFormat)
}

const IDENTITY_FILE = 'identity.key'

const FIRST_LINE = /^pinaivu-identity-v(\d+)$/
const SEED_LINE = /^ed25519-seed: ([0-9a-f]{64})$/
const PEER_ID_LINE = /^peer-id: (\S+)$/

/** The peer id is there for people, and as a check: a damaged seed would be another peer. */
export const identityFormat: SecretFormat<Identity> = {
  print: (identity) =>
    [
      'pinaivu-identity-v1',
      `ed25519-seed: ${Buffer.from(identity.privateKeySeed()).toString('hex')}`,
      `peer-id: ${identity.peerId}`,
      '# Whoever has this file is this peer: keep it secret, and keep a copy of it.',
      '',
    ].join('\n'),

  parse(text) {
    const [first = '', ...rest] = text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
    const version = FIRST_LINE.exec(first)?.[1]
    if (version === undefined) throw new Error('it does not begin as an identity file.')
    if (version !== '1') throw new Error(`version ${version} needs a newer pinaivu-peer.`)
    const seed = SEED_LINE.exec(rest[0] ?? '')?.[1]
    const peerId = PEER_ID_LINE.exec(rest[1] ?? '')?.[1]
    if (seed === undefined || peerId === undefined || rest.length !== 2) {
      throw new Error('its seed or peer id is missing or damaged.')
    }
    const identity = identityFromSeed(new Uint8Array(Buffer.from(seed, 'hex')))
    if (identity.peerId !== peerId) throw new Error('its seed does not belong to its peer id.')
    return identity
  },
}
