import { InvalidError } from '../../base/errors.ts'

/** What a list of conversations has room for. */
const MADE_CHARS_MAX = 60
export const TITLE_CHARS_MAX = 200

const UNTITLED = 'New chat'

/**
 * The title of a session, made from its first message without asking a model: the first line with
 * anything in it, its white space closed up, cut behind the last whole word of sixty characters.
 */
export function titleOf(message: string): string {
  const lines = message
    .slice(0, 4096)
    .toWellFormed()
    .split(/[\r\n\u2028\u2029]+/)
  for (const line of lines) {
    const text = line.replace(/\s+/g, ' ').replace(/\p{C}/gu, '').trim()
    if (text !== '') return shortened(text)
  }
  return UNTITLED
}

function shortened(text: string): string {
  const characters = [...text]
  if (characters.length <= MADE_CHARS_MAX) return text
  const cut = characters.slice(0, MADE_CHARS_MAX - 1).join('')
  const words = cut.replace(/\s+\S*$/, '')
  // A language without spaces, or one long word, is cut where it is.
  return `${words.length * 2 >= cut.length ? words : cut}…`
}

/** One that somebody chose. */
export function checkedTitle(title: string): string {
  const text = title.trim()
  if (/^[^\p{C}\u2028\u2029]+$/u.test(text) && [...text].length <= TITLE_CHARS_MAX) return text
  throw new InvalidError('title', `A title has 1 to ${TITLE_CHARS_MAX} characters, on one line.`)
}
