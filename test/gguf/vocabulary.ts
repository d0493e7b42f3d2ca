import type { Metadata } from './writer.ts'

export const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const

const NORMAL = 1
const CONTROL = 3
/** What byte-level vocabularies write for a space. */
const SPACE = 'Ġ'

/** Words that become one token each, with and without a space before them. */
export const words = `
  the of and to in is that for it as was with be by on not he his but at are this have from or
  had an they which one you were all her she there would their we him been has when who will
  no more if out so said what up its about than into them can only other time new some could
  these two may first then do any like my now over such our man me even most made after also
  did many off before must well back through years where much your way down should because
  long each just state people those too mr how`
  .trim()
  .split(/\s+/)

export const chatTemplate = [
  '{% for message in messages %}',
  "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}",
  '{% endfor %}',
  "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n'}}{% endif %}",
].join('')

/**
 * A byte-level vocabulary like GPT-2's: the 256 bytes (many alone are no whole character), some
 * words, then made-up words up to the size, the special tokens last.
 */
export function vocabulary(size: number): Metadata {
  const tokens = new Set(byteTokens())
  const merges = new Set<string>()
  // A word's own merges stand before those of its letters alone, or these would take them away.
  for (const word of words) addWord(SPACE + word, tokens, merges)
  for (const word of words) addWord(word, tokens, merges)
  for (let n = 0; tokens.size < size - specialTokens.length; n++) tokens.add(SPACE + madeUpWord(n))
  if (tokens.size + specialTokens.length !== size) {
    throw new RangeError(`a vocabulary has at least ${tokens.size + specialTokens.length} tokens`)
  }
  const first = tokens.size
  return {
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
    'tokenizer.ggml.tokens': { type: 'strings', value: [...tokens, ...specialTokens] },
    'tokenizer.ggml.token_type': {
      type: 'i32s',
      value: Array.from({ length: size }, (_, id) => (id < first ? NORMAL : CONTROL)),
    },
    'tokenizer.ggml.merges': { type: 'strings', value: [...merges] },
    'tokenizer.ggml.bos_token_id': { type: 'u32', value: first },
    'tokenizer.ggml.eos_token_id': { type: 'u32', value: first + 2 },
    'tokenizer.ggml.padding_token_id': { type: 'u32', value: first },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    'tokenizer.chat_template': { type: 'string', value: chatTemplate },
  }
}

/** The tokens that end an answer. */
export function endTokens(vocabularySize: number): number[] {
  return [vocabularySize - 3, vocabularySize - 1]
}

/** GPT-2's printable stand-in for each byte. */
function byteTokens(): string[] {
  let standIns = 0
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255)
    return String.fromCodePoint(printable ? byte : 256 + standIns++)
  })
}

/** Joins the word letter by letter: each step is a merge, and each result a token. */
function addWord(word: string, tokens: Set<string>, merges: Set<string>): void {
  for (let end = 1; end < word.length; end++) {
    merges.add(`${word.slice(0, end)} ${word[end]}`)
    tokens.add(word.slice(0, end + 1))
  }
}

/** a, b, … z, aa, ab, … */
function madeUpWord(n: number): string {
  const letter = String.fromCharCode(97 + (n % 26))
  return n < 26 ? letter : madeUpWord(Math.floor(n / 26) - 1) + letter
}
