import { basename } from 'node:path'

export interface NamedFile {
  name: string
  path: string
}

/** Names that clients of other products use, and the files they mean (as `plainName` has them). */
const knownAliases: [file: RegExp, aliases: string[]][] = [
  [/^(microsoft[-_])?phi-4$/, ['phi-4']],
  [/^(meta[-_])?llama-3\.2-3b$/, ['llama-3.2-3b', 'ryvion-llama-3.2-3b', 'llama3.2:3b']],
  [/^(meta[-_])?llama-3\.2-1b$/, ['llama3.2:1b']],
  [/^tinyllama(-1\.1b)?(-v\d+\.\d+)?$/, ['tinyllama']],
  [/^nomic-embed-text(-v\d+(\.\d+)?)?$/, ['nomic-embed-text']],
]

/** `llama-3.2-3b` for `…/Llama-3.2-3B-Instruct-Q4_K_M.gguf`. */
function plainName(path: string): string {
  return basename(path)
    .toLowerCase()
    .replace(/\.gguf$/, '')
    .replace(/-\d{5}-of-\d{5}$/, '')
    .replace(/[-._](u?d[-_])?(i?q\d+(_[a-z0-9]+)*|b?f(16|32)|fp16|mxfp4)$/, '')
    .replace(/[-._](instruct|chat|it)\b/, '')
}

/**
 * Alias → name of a served model. A model's own name is never an alias of another; of two files that
 * fit an alias the first one has it.
 */
export function aliasTable(models: readonly NamedFile[]): ReadonlyMap<string, string> {
  const names = new Set(models.map(({ name }) => name))
  const table = new Map<string, string>()
  for (const { name, path } of models) {
    const plain = plainName(path)
    for (const [file, aliases] of knownAliases) {
      if (!file.test(plain)) continue
      for (const alias of aliases) if (!table.has(alias)) table.set(alias, name)
    }
  }
  for (const name of names) table.delete(name)
  return table
}
