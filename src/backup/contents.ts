/**
 * Tables that a backup leaves out: what was found out of this machine and the models on it, and is
 * found out again where it is missing. All others go in, those of a later version too.
 */
export const cacheTables: readonly string[] = ['calibrations', 'model-ids']

/** Files that go in as they are. What they may hold is bounded: they are read in one piece. */
export const ownFiles = {
  'identity.key': { bytesMax: 4096, needed: true },
  'owner.key': { bytesMax: 4096, needed: false },
  'config.toml': { bytesMax: 1024 * 1024, needed: false },
} as const

export type OwnFile = keyof typeof ownFiles

export const ownFileNames = Object.keys(ownFiles) as OwnFile[]

/** The folder in which the bytes of accounts' files are, each under its hash. */
export const blobFolder = 'files'

const BLOB_PATH = /^files\/([0-9a-f]{64})$/

/** The hash that this path of a backup is for; undefined where it is not of a blob. */
export const blobOf = (path: string): string | undefined => BLOB_PATH.exec(path)?.[1]

export const isOwnFile = (path: string): path is OwnFile => Object.hasOwn(ownFiles, path)
