import { join } from 'node:path'
import type { Emit } from './accounts/events.ts'
import { FileStore } from './accounts/files/file-store.ts'
import { KeyStore } from './accounts/keys.ts'
import { freshOwnerKey, loadOwnerKey } from './accounts/owner-key.ts'
import type { TillComponents } from './accounts/payment.ts'
import { openTill } from './accounts/till.ts'
import { Webhooks } from './accounts/webhooks/webhooks.ts'
import type { Config } from './config/config.ts'
import type { Base } from './node.ts'
import type { Store } from './storage/store.ts'
import { version } from './version.ts'

/** What is kept for those who hold a key. */
export interface Accounts {
  keys: KeyStore
  ownerKey: string
  webhooks: Webhooks
  /** What happens in accounts, told to their webhooks. */
  emit: Emit
  till: TillComponents
  /** Undefined where there is no folder to keep them in. */
  files: FileStore | undefined
}

export async function openAccounts(
  components: Base & { store: Store },
  { allowPrivateWebhooks: allowPrivate }: Config,
  folder: string | undefined,
): Promise<Accounts> {
  const { random } = components
  const webhooks = await Webhooks.open(components, {
    userAgent: `pinaivu-peer/${version}`,
    poster: { allowPrivate },
  })
  const { emit } = webhooks
  const keys = await KeyStore.open({ ...components, emit })
  const ownerKey =
    folder === undefined
      ? await freshOwnerKey({ keys, random })
      : await loadOwnerKey(folder, { keys, random })
  const till = await openTill({ ...components, keys, emit })
  const files =
    folder === undefined ? undefined : await FileStore.open(join(folder, 'files'), components)
  return { keys, ownerKey, webhooks, emit, till, files }
}
