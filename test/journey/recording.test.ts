import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/base/package-root.ts'
import { Recording } from './recording.ts'
import { svgOf } from './svg.ts'

const peerId = `12D3KooW${'a'.repeat(40)}QRST`
const cid = `ryv1:sha256:${'0123'.repeat(16)}`

function recorded(): Recording {
  const recording = new Recording()
  recording.shows('/tmp/x', '/home/you')
  recording.note('A & B')
  recording.command('one', `receipts get ${cid} > /tmp/x/a`)
  const row = `${cid}  2026-01-02 03:04  final`
  recording.output(`CID${' '.repeat(cid.length - 1)}TIME              STATUS\n${row}\n`)
  recording.output(
    `a  52%  1 of 2 KiB\na  100%  2 of 2 KiB  3.4 MiB/s\nready a in 1.5 s, ${peerId}`,
  )
  return recording
}

describe('a recording', () => {
  it('has short ids, and nothing that belongs to one run or one machine', () => {
    expect(recorded().text).toBe(
      [
        '# A & B',
        'one $ receipts get ryv1:sha256:0123…0123 > /home/you/a',
        'CID                    TIME              STATUS',
        'ryv1:sha256:0123…0123  …                 final',
        'a  100%  2 of 2 KiB  … MiB/s',
        'ready a in … s, 12D3KooW…QRST',
        '',
      ].join('\n'),
    )
  })

  it('is a picture of the same lines, in order', () => {
    expect(linesIn(svgOf(recorded(), 'a title'))).toBe(joined(recorded().text))
  })

  it('is in the README as it was last made: text and picture say the same', () => {
    const [text = '', svg = ''] = ['txt', 'svg'].map((kind) =>
      readFileSync(join(packageRoot(), `.github/journey.${kind}`), 'utf8'),
    )
    expect(linesIn(svg)).toBe(joined(text))
    expect(text).not.toMatch(/\/(tmp|root|work)\/|12D3KooW\w|https:/)
  })
})

/** A long line is two in the picture. */
const joined = (text: string): string => text.replace(/\s/g, '')

const linesIn = (svg: string): string =>
  joined(
    [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)]
      .map(([, inner = '']) => inner.replace(/<[^>]*>/g, ''))
      .join('')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&'),
  )
