import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from './base/package-root.ts'

const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))

interface Manifest {
  version?: unknown
  engines?: { node?: unknown }
}

/** Of this program. */
export const version: string = String((manifest as Manifest).version)

/** Of Node.js, that it needs: `>=22.13`. */
export const nodeNeeded: string = String((manifest as Manifest).engines?.node)
