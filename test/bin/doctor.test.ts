import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../bin/command.ts'
import { doctor, runDoctor } from '../../bin/doctor.ts'
import type { Finding } from '../../src/index.ts'
import { stage } from './stage.ts'

const fine: Finding = { check: 'node', verdict: 'ok', code: 'ok', cause: 'Node.js 24.' }
const low: Finding = {
  ...{ check: 'disk', verdict: 'warn', code: 'disk_low' },
  ...{ cause: 'The disk is nearly full.', next: 'Make room.' },
}
const taken: Finding = {
  ...{ check: 'ports', verdict: 'fail', code: 'port_in_use' },
  cause: 'Port 7463 is in use: \u001b[2Jevil (process 7) listens on 127.0.0.1:7463.',
  next: 'Stop that program.',
}
const unseen: Finding = { check: 'nat', verdict: 'skip', code: 'skipped', cause: 'Nobody said.' }

async function print(
  findings: Finding[],
  { tty = false, args = [], env = {} }: { tty?: boolean; args?: string[]; env?: object } = {},
) {
  const io = stage({ tty, env: { ...env } })
  const input = parseCommandLine(doctor, args, io.env)
  const code = await runDoctor(input, io, async () => findings)
  return { code, text: io.stdout.text }
}

describe('the doctor', () => {
  it('says one line for each thing, and ends by the worst', async () => {
    expect(await print([fine, low, taken, unseen])).toEqual({
      code: 1,
      text: [
        'ok    node         Node.js 24.',
        'warn  disk         The disk is nearly full. Make room.',
        'fail  ports        Port 7463 is in use: ␛[2Jevil (process 7) listens on 127.0.0.1:7463. Stop that program.',
        '-     nat          Nobody said.',
        '',
        '1 to be mended, 1 that could be better.',
        '',
      ].join('\n'),
    })
    expect((await print([fine, low])).code).toBe(0)
    expect(await print([fine, unseen])).toMatchObject({
      code: 0,
      text: expect.stringMatching(/Nothing is wrong\.\n$/),
    })
  })

  it('breaks long lines for a person, in colours unless they are not wanted', async () => {
    const { text } = await print([taken], { tty: true })
    expect(text).toContain('\u001b[31mfail\u001b[39m  ports')
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80 + 10)
    expect(text.split('\n')[1]).toMatch(/^ {19}\S/)
    const plain = await print([taken], { tty: true, env: { NO_COLOR: '1' } })
    expect(plain.text).not.toContain('\u001b')
  })

  it('says the same to programs as one JSON object', async () => {
    const { code, text } = await print([fine, taken], { args: ['--json'] })
    expect(code).toBe(1)
    expect(JSON.parse(text)).toEqual({ verdict: 'fail', findings: [fine, taken] })
    expect(text).not.toContain('\u001b')
  })
})
