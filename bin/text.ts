// What a terminal obeys instead of showing: controls (ESC among them), and characters that reorder
// text or hide in it. Names, errors and answers come from files, peers and models: none may do that.
const controls = '\\u0000-\\u001f\\u007f-\\u009f'
const disguises = '\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ufeff'
const commands = new RegExp(`[${controls}${disguises}]`, 'gu')

/** Visible stand-in for a character that must not reach the terminal. */
function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0
  // Unicode has pictures of the old control codes: ␛ for ESC.
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  return code === 0x7f ? '\u2421' : '\ufffd'
}

/** Text of several lines, or a piece of it, made harmless. Line ends and tabs stay. */
export function safeText(text: string): string {
  return text.replace(commands, (each) => {
    if (each === '\n' || each === '\t') return each
    return each === '\r' ? '' : visible(each)
  })
}

/** A text for a file that somebody may show on a terminal: without what that would obey. */
export const withoutControls = (text: string): string =>
  text.replace(/[^\P{Cc}\n\t]/gu, (each) => (each === '\r' ? '' : visible(each)))

/** A name or message for one line, made harmless. */
export function safeLine(text: string): string {
  return text.replace(commands, (each) => (/[\r\n\t]/.test(each) ? ' ' : visible(each)))
}

/** One line of JSON that is harmless on a terminal and means the same. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    commands,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const wide =
  /[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]/u
const zeroWidth = /\p{Mn}|\p{Me}|[\u200b\u200c]|\u200d/u

/** Columns that a text takes on a terminal. Colours in it do not count. */
export function widthOf(text: string): number {
  let width = 0
  for (const each of text.replace(colours, '')) {
    if (!zeroWidth.test(each)) width += wide.test(each) ? 2 : 1
  }
  return width
}

/** Cuts a text without colours to a width, with `…` as its last column. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let used = 0
  for (const each of text) {
    used += widthOf(each)
    if (used > width - 1) break
    kept += each
  }
  return `${kept}…`
}

/** Breaks a text at spaces. A word that is too long for a line stands alone in one. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const esc = String.fromCharCode(27)
const colours = new RegExp(`${esc}\\[\\d+m`, 'g')

const codes = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] }
export type Colour = keyof typeof codes
export type Paint = (colour: Colour, text: string) => string

export const noPaint: Paint = (_colour, text) => text

/**
 * Colours for a terminal, unless NO_COLOR (https://no-color.org) or TERM=dumb says otherwise. FORCE_COLOR
 * has the last word, as in Node: for a pager that shows them, or, with 0, to have none.
 */
export function paintFor(
  output: { isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const forced = env.FORCE_COLOR ?? ''
  if (forced === '0' || forced === 'false') return noPaint
  const isPlain = output.isTTY !== true || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb'
  if (isPlain && forced === '') return noPaint
  return (colour, text) => {
    const [on, off] = codes[colour]
    return `${esc}[${on}m${text}${esc}[${off}m`
  }
}

export interface Column {
  title: string
  align?: 'left' | 'right'
  /** This column gives way when a line is wider than the terminal; of several, the last first. */
  shrink?: boolean
  /** Whatever the cells hold, and however much room there is. */
  widthMax?: number
}

const columnGap = 2
const shrunkMin = 8

/** Lines of an aligned table. Cells are made harmless here. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  paint: Paint,
): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(safeLine))]
  const widths = columns.map(({ widthMax = Number.POSITIVE_INFINITY }, i) =>
    Math.min(widthMax, Math.max(...cells.map((row) => widthOf(row[i] ?? '')))),
  )
  let excess = widths.reduce((sum, each) => sum + each + columnGap, -columnGap) - width
  for (const [i, given] of [...widths.entries()].reverse()) {
    if (columns[i]?.shrink !== true || excess <= 0) continue
    const shrunk = Math.min(given, Math.max(shrunkMin, given - excess))
    widths[i] = shrunk
    excess -= given - shrunk
  }
  const lines = cells.map((row) =>
    columns
      .map(({ align }, i) => {
        const cell = cut(row[i] ?? '', widths[i] ?? 0)
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - widthOf(cell)))
        return align === 'right' ? space + cell : cell + space
      })
      .join(' '.repeat(columnGap))
      .trimEnd(),
  )
  return lines.map((line, i) => (i === 0 ? paint('bold', line) : line))
}

const labelWidth = 13

/** Lines of `label  value`, a label once for all of its values. Values are made harmless here. */
export function labelled(
  rows: readonly (readonly [label: string, values: readonly string[]])[],
  paint: Paint,
): string[] {
  return rows.flatMap(([label, values]) =>
    values.map((value, i) => {
      const title = paint('dim', (i === 0 ? label : '').padEnd(labelWidth))
      return `  ${title}${safeLine(value)}`
    }),
  )
}
