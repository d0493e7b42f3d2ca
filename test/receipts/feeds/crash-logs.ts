import type { Identity } from '../../../src/identity/identity.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { peer } from './disk-stage.ts'
import { note } from './stage.ts'

/** Whose logs are taken in by a peer that is killed. All logs there have the same entries. */
export const others: readonly Identity[] = [peer(1), peer(2), peer(3)]

/** The entry at this index; some of a few KiB, so that a log soon takes many rows. */
export const entryOf = (index: number): SealedEntry => note(index, (index % 7) * 500)

/** How many entries at the end of a log are never thrown away. */
export const KEPT = 30
