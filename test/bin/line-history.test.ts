import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundedLines, historyLimits, LineHistory } from '../../bin/line-history.ts'
import { temporaryFolder } from './stage.ts'

describe('the lines of earlier chats', () => {
  it('are kept in a file of the owner alone', async () => {
    const folder = temporaryFolder()
    const history = new LineHistory(folder)
    expect(await history.read()).toEqual([])
    await history.add('Hello!')
    await history.add('Hello!')
    await history.add('What is 世?')
    expect(await new LineHistory(folder).read()).toEqual(['Hello!', 'What is 世?'])
    expect(readFileSync(join(folder, 'chat-history'), 'utf8')).toBe('Hello!\nWhat is 世?\n')
    expect(statSync(join(folder, 'chat-history')).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder)).toEqual(['chat-history'])
  })

  it('are those of all chats that run at the same time', async () => {
    const folder = temporaryFolder()
    const [one, other] = [new LineHistory(folder), new LineHistory(folder)]
    await one.read()
    await other.add('from another')
    await one.add('from one')
    await other.add('and again')
    expect(await one.read()).toEqual(['from another', 'from one', 'and again'])
  })

  it('come to the disk in their order, however fast they are typed', async () => {
    const folder = temporaryFolder()
    const history = new LineHistory(folder)
    await Promise.all(['a', 'b', 'c', 'd'].map((line) => history.add(line)))
    expect(await history.read()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('come to the disk also when they are typed while others are written', async () => {
    const history = new LineHistory(temporaryFolder())
    const lines = Array.from({ length: 100 }, (_, at) => `line ${at}`)
    for (const line of lines) {
      void history.add(line)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await history.settled()
    expect(await history.read()).toEqual(lines)
  })

  it('wait for a folder that can be written', async () => {
    const folder = temporaryFolder()
    const history = new LineHistory(join(folder, 'missing'))
    await expect(history.add('not lost')).rejects.toThrow(/ENOENT/)
    mkdirSync(join(folder, 'missing'))
    await history.add('b')
    expect(await history.read()).toEqual(['not lost', 'b'])
  })

  it('have the rights of their owner also where the file had others', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'chat-history'), 'old\n')
    chmodSync(join(folder, 'chat-history'), 0o644)
    await new LineHistory(folder).add('new')
    expect(statSync(join(folder, 'chat-history')).mode & 0o777).toBe(0o600)
  })

  it('are not what others wrote into the file for the terminal to obey', async () => {
    const folder = temporaryFolder()
    const evil = ['good', '\u001b]52;c;aGk=\u0007', 'a\u009b2J', 'a\u202eb', 'x'.repeat(5000)]
    writeFileSync(join(folder, 'chat-history'), evil.join('\n'))
    expect(await new LineHistory(folder).read()).toEqual(['good'])
    writeFileSync(join(folder, 'chat-history'), 'line\n'.repeat(historyLimits.bytes))
    expect(await new LineHistory(folder).read()).toEqual([])
  })

  it('are not waited for where the file is a pipe, and nothing is left of what could not be written', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'chat-history')
    execFileSync('mkfifo', [path])
    const history = new LineHistory(folder)
    await expect(history.read()).rejects.toThrow(/is not a file/)
    await expect(history.add('a')).rejects.toThrow(/is not a file/)
    rmSync(path)
    mkdirSync(path)
    await expect(history.add('b')).rejects.toThrow()
    expect(readdirSync(folder)).toEqual(['chat-history'])
    rmSync(path, { recursive: true })
    // What was damaged on its way is still lines.
    writeFileSync(path, Buffer.from('ok\n\xff\xfe\0\n\n\nlast', 'latin1'))
    await history.add('c')
    expect(await history.read()).toEqual(['ok', 'last', 'a', 'b', 'c'])
  })

  it('are the newest that the limits have room for', () => {
    const line = fc.string({ unit: fc.constantFrom('a', ' ', '世', '\n'), maxLength: 40 })
    const lines = fc.array(line, { maxLength: 40 })
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 400 }), (typed, times) => {
        const many = Array.from({ length: times }, (_, at) =>
          typed.map((each, nth) => `${each}${nth}.${at}`),
        )
        const all = many.flat()
        const kept = boundedLines(all)
        const usable = all.filter((each) => !/^ |\n/.test(each))
        expect(kept).toEqual(usable.slice(usable.length - kept.length))
        const bytes = Buffer.byteLength(kept.join('\n')) + 1
        expect(bytes).toBeLessThanOrEqual(historyLimits.bytes + 1)
        expect(kept.length).toBe(Math.min(usable.length, historyLimits.lines))
      }),
      { numRuns: 30 },
    )
    const long = Array.from({ length: 200 }, (_, at) => `${at}`.padEnd(4000, 'x'))
    expect(boundedLines(long)).toEqual(long.slice(-Math.floor(historyLimits.bytes / 4001)))
    expect(boundedLines([' secret', 'a', 'a', '', 'a'])).toEqual(['a'])
  })
})
