import { join } from 'node:path'
import type { Random } from '../base/random.ts'
import { loadOrCreateSecret, readSecret, type SecretFormat } from '../identity/secret-file.ts'
import { isKey, makeKey } from './key-text.ts'
import type { KeyStore } from './keys.ts'

/**
 * The owner's key: from `owner.key` in the data folder, made there at the first start, and known to
 * the key store from then on. The file decides: a deleted one is replaced by a new key, one carried
 * over to a new database is adopted; the owner's key from before is revoked.
 */
export async function loadOwnerKey(
  dataDir: string,
  components: { keys: KeyStore; random: Random },
): Promise<string> {
  const { keys, random } = components
  const path = join(dataDir, OWNER_FILE)
  const key = await loadOrCreateSecret(path, ownerKeyFormat, () => makeKey(random), random)
  await keys.adoptOwner(key)
  return key
}

/** The key in that file; undefined where there is none. */
export function readOwnerKey(dataDir: string): Promise<string | undefined> {
  return readSecret(join(dataDir, OWNER_FILE), ownerKeyFormat)
}

const OWNER_FILE = 'owner.key'

/** One that is written down nowhere: for a peer without a data folder. */
export async function freshOwnerKey(components: {
  keys: KeyStore
  random: Random
}): Promise<string> {
  const key = makeKey(components.random)
  await components.keys.adoptOwner(key)
  return key
}

/** The key and nothing else, so that `$(cat owner.key)` is the key. */
const ownerKeyFormat: SecretFormat<string> = {
  print: (key) => `${key}\n`,
  parse(text) {
    const key = text.trim()
    if (!isKey(key)) throw new Error('it does not hold an API key (sk-pnv-…).')
    return key
  },
}
