import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder of our package: the next one with a package.json, above `src/` as above `dist/src/`. */
export function packageRoot(folder = import.meta.dirname): string {
  if (existsSync(join(folder, 'package.json'))) return folder
  const above = dirname(folder)
  if (above === folder) throw new Error('the package.json of pinaivu-peer is not there')
  return packageRoot(above)
}
