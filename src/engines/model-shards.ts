const shard = /^(.*)-00001-of-(\d{5})\.gguf$/i

/** More than any model is split into. */
const SHARDS_MAX = 1000

/** All files of a model, in order: llama.cpp is given the first and finds the others by their names. */
export function modelShards(path: string): string[] {
  const [, stem, digits = ''] = shard.exec(path) ?? []
  const count = Number(digits)
  if (stem === undefined || count < 1 || count > SHARDS_MAX) return [path]
  const extension = path.slice(-'.gguf'.length)
  return Array.from({ length: count }, (_, index) => {
    const number = String(index + 1).padStart(digits.length, '0')
    return `${stem}-${number}-of-${digits}${extension}`
  })
}
