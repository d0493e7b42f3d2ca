import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from './base/package-root.ts'

const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))

/** Of this program. */
export const version: string = String((manifest as { version?: unknown }).version)
