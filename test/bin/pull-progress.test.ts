import { describe, expect, it } from 'vitest'
import { PullProgress } from '../../bin/pull-progress.ts'
import { noPaint } from '../../bin/text.ts'
import { Recorder } from './stage.ts'

const MiB = 1024 * 1024

/** Ten MiB at one MiB a second, told of ten times a second. */
function tenSeconds(output: Recorder, json = false): string {
  let now = 0
  const progress = new PullProgress(output, { json, paint: noPaint, now: () => now })
  progress.show({ type: 'begins', name: 'm', sizeBytes: 10 * MiB, files: 1 })
  for (let step = 1; step <= 100; step++) {
    now = step * 100
    const receivedBytes = (step * MiB) / 10
    progress.show({ type: 'progress', name: 'm', receivedBytes, sizeBytes: 10 * MiB })
  }
  progress.end()
  return output.text
}

describe('the progress of a pull', () => {
  it('has a line for each tenth in a log', () => {
    const lines = tenSeconds(new Recorder()).trim().split('\n')
    expect(lines[0]).toBe('Pulling m (10 MiB)')
    expect(lines.length).toBeLessThanOrEqual(12)
    expect(lines[5]).toMatch(/^m {2}\d\d% {2}[45][.\d]* MiB of 10 MiB {2}1 MiB\/s {2}[56] s left$/)
    expect(lines.at(-1)).toBe('m  100%  10 MiB of 10 MiB  1 MiB/s')
  })

  it('is a bar on a terminal, no wider than that', () => {
    const text = tenSeconds(new Recorder(true, 60))
    expect(text).toMatch(/m {2}█+░+ {2}\d\d% {2}5[.\d]* MiB of 10 MiB {2}1\S* \w+\/s {2}\d s left/)
    // With some characters that move the cursor.
    expect(Math.max(...text.split('\n').map((row) => row.length))).toBeLessThan(60 + 12)
  })

  it('is an object a second for programs', () => {
    const events = tenSeconds(new Recorder(), true)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events[0]).toEqual({
      ...{ event: 'pull', type: 'begins', name: 'm', sizeBytes: 10 * MiB, files: 1 },
    })
    expect(events.length).toBeLessThanOrEqual(13)
    expect(events.at(-1)).toEqual({
      ...{ event: 'pull', type: 'progress', name: 'm', received_bytes: 10 * MiB },
      ...{ size_bytes: 10 * MiB, bytes_per_second: MiB, seconds_left: 0 },
    })
  })

  it('says what it can where nobody says how much it is', () => {
    const output = new Recorder()
    let now = 0
    const progress = new PullProgress(output, { json: false, paint: noPaint, now: () => now })
    for (now of [1, 40_001]) {
      progress.show({ type: 'progress', name: 'm', receivedBytes: now, sizeBytes: undefined })
    }
    expect(output.text).toMatch(/^m {2}1 B\nm {2}39\.1 KiB {2}1000 B\/s\n$/)
  })

  it('lets no name command the terminal', () => {
    const output = new Recorder(true, 80)
    const progress = new PullProgress(output, { json: false, paint: noPaint })
    progress.show({ type: 'licence', licence: { id: 'a\u001b[2J' }, agreed: true })
    progress.show({ type: 'progress', name: 'x\u001b[2J', receivedBytes: 1, sizeBytes: 1 })
    expect(output.text).not.toContain('\u001b[2J')
  })
})
