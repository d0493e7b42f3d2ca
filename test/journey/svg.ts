import type { Line, Recording } from './recording.ts'

// A terminal that scrolls, as one SVG: no script and no font of its own, as a README shows pictures.

/** In pixels, as wide as a README. */
const WIDTH = 830
const MARGIN = 24
const BAR = 34
const LINE = 20
const FONT = 14
const COLUMNS = 92
const ROWS = 28

/** A command is read before its answer comes, and an answer before the next command. */
const COMMAND_S = 1.1
const BLOCK_S = 1
const ROW_S = 0.15
const END_S = 6

interface Row extends Line {
  /** Of a line that is wider than the terminal. */
  continues: boolean
}

export function svgOf({ blocks }: Recording, title: string): string {
  const shown = blocks.map((block) => block.flatMap(rowsOf))
  const rows = shown.flat()
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}${scroll(shown)}</style>`,
    `<rect width="${WIDTH}" height="${height}" rx="10" fill="#0d1117"/>`,
    ...['#ff5f57', '#febc2e', '#28c840'].map(
      (colour, i) => `<circle cx="${MARGIN + i * 20}" cy="${BAR / 2}" r="6" fill="${colour}"/>`,
    ),
    `<svg y="${BAR}" width="${WIDTH}" height="${ROWS * LINE}">`,
    '<g class="all">',
    ...rows.map(rowText),
    '</g>',
    '</svg>',
    '</svg>',
    '',
  ].join('\n')
}

const height = BAR + ROWS * LINE + MARGIN / 2

const style = `
.all{font:${FONT}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9}
text{white-space:pre}
.note{fill:#8b949e;font-style:italic}
.command{fill:#fff;font-weight:bold}
.one{fill:#3fb950}
.two{fill:#58a6ff}
.good{fill:#3fb950}
@media(prefers-reduced-motion:reduce){.all{animation:none!important}}
`

/** The last row that is shown stands at the bottom, as in a terminal that is full. */
function scroll(blocks: readonly Row[][]): string {
  let rows = 0
  let at = 0
  const steps = blocks.map((block) => {
    rows += block.length
    const step = { at, y: (ROWS - rows) * LINE }
    at += block[0]?.kind === 'output' ? BLOCK_S + block.length * ROW_S : COMMAND_S
    return step
  })
  const whole = at + END_S
  const frames = steps.map(
    (step) => `${((step.at / whole) * 100).toFixed(2)}%{transform:translateY(${step.y}px)}`,
  )
  const last = `100%{transform:translateY(${steps.at(-1)?.y ?? 0}px)}`
  const run = `.all{animation:scroll ${whole.toFixed(1)}s step-end infinite}`
  return `@keyframes scroll{${frames.join('')}${last}}\n${run}\n`
}

function rowsOf(line: Line): Row[] {
  const { prompt, text } = line
  const letters = [...text]
  const first = COLUMNS - prompt.length
  const rows: Row[] = [{ ...line, text: letters.slice(0, first).join(''), continues: false }]
  for (let at = first; at < letters.length; at += COLUMNS) {
    rows.push({
      ...line,
      prompt: '',
      text: letters.slice(at, at + COLUMNS).join(''),
      continues: true,
    })
  }
  return rows
}

function rowText({ kind, prompt, text }: Row, i: number): string {
  const who = prompt === '' ? '' : `<tspan class="${prompt.split(' ')[0]}">${prompt}</tspan>`
  const body = kind === 'output' ? coloured(escaped(text)) : escaped(text)
  const y = i * LINE + LINE - 5
  return `<text x="${MARGIN}" y="${y}" class="${kind}" xml:space="preserve">${who}${body}</text>`
}

/** As the program itself colours what went well. */
const coloured = (text: string): string =>
  text.replace(
    /^(ready|joined|All of it holds\.| {2}yes)(?= )/,
    (word) => `<tspan class="good">${word}</tspan>`,
  )

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
