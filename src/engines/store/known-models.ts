/**
 * Short names that clients of other products use, and the file on the hub that each means: what the
 * product of that name serves, in the quant it serves it in.
 */
const known: Readonly<Record<string, string>> = {
  'phi-4': 'hf:bartowski/phi-4-GGUF:Q4_K_M',
  'llama-3.2-3b': 'hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M',
  'ryvion-llama-3.2-3b': 'hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M',
  'llama3.2:3b': 'hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M',
  'llama3.2:1b': 'hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0',
  tinyllama: 'hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_0',
  'nomic-embed-text': 'hf:nomic-ai/nomic-embed-text-v1.5-GGUF:F16',
}

/** The URI that a short name means. */
export const knownModel = (name: string): string | undefined =>
  Object.hasOwn(known, name) ? known[name] : undefined

export const knownNames: readonly string[] = Object.keys(known)
