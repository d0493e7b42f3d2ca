import { isDeepStrictEqual } from 'node:util'
import { aliasKey } from './config/aliases.ts'
import type { Config } from './config/config.ts'
import { settingList } from './config/settings.ts'

/** Names as in config.toml. */
export interface Reconfigured {
  changed: string[]
  /** Different too, and not taken over. */
  needsRestart: string[]
}

/** Read anew for each request or line; everything else was built into a part when it was made. */
const changeable: ReadonlySet<keyof Config> = new Set([
  'price',
  'creditLimit',
  'aliases',
  'logLevel',
])

/** The configuration that a running peer can go on with, and how it differs from both. */
export function reconfigured(before: Config, wanted: Config): Reconfigured & { config: Config } {
  const config: Record<string, unknown> = { ...before }
  const said: Reconfigured = { changed: [], needsRestart: [] }
  for (const key of Object.keys(before) as (keyof Config)[]) {
    if (key === 'notices' || isDeepStrictEqual(before[key], wanted[key])) continue
    const isChangeable = changeable.has(key)
    if (isChangeable) config[key] = wanted[key]
    said[isChangeable ? 'changed' : 'needsRestart'].push(nameOf(key))
  }
  // Each value is one of the same key.
  return { ...said, config: Object.freeze(config) as unknown as Config }
}

function nameOf(key: keyof Config): string {
  if (key === 'tls') return 'tls-cert'
  return settingList.find((setting) => setting.key === key)?.flag ?? aliasKey
}
