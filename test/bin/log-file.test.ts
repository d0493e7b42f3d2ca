import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogFile } from '../../bin/log-file.ts'
import { createLogger } from '../../bin/logger.ts'
import { stage, temporaryFolder } from './stage.ts'

const textOf = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '')

/** The oldest line first. */
const kept = (path: string, files: number): string[] =>
  Array.from({ length: files }, (_, at) =>
    files - 1 - at === 0 ? path : `${path}.${files - 1 - at}`,
  )
    .flatMap((each) => textOf(each).split('\n'))
    .filter((line) => line !== '')

describe('a log in files', () => {
  it('keeps the newest lines, whole and in order, within its bounds, whenever it is opened again', () => {
    const step = fc.oneof(
      fc.integer({ min: 1, max: 60 }),
      fc.constant('reopen'),
      fc.constant('new'),
    )
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 20, max: 120 }),
        fc.integer({ min: 1, max: 4 }),
        (steps, bytesMax, filesMax) => {
          const folder = temporaryFolder()
          const path = join(folder, 'peer.log')
          const options = { path, bytesMax, filesMax }
          let log = new LogFile(options)
          const lines: string[] = []
          for (const each of steps) {
            if (each === 'reopen') log.reopen()
            else if (each === 'new') {
              log.close()
              log = new LogFile(options)
            } else {
              lines.push(`${lines.length} ${'x'.repeat(Number(each))}`)
              log.write(`${lines.at(-1)}\n`)
            }
          }
          log.close()
          const found = kept(path, filesMax)
          expect(found).toEqual(lines.slice(lines.length - found.length))
          expect(found.at(-1)).toBe(lines.at(-1))
          for (const name of readdirSync(folder)) {
            const { size } = statSync(join(folder, name))
            const longest = Math.max(0, ...lines.map((line) => line.length + 1))
            expect(size).toBeLessThanOrEqual(Math.max(bytesMax, longest))
          }
          expect(readdirSync(folder).length).toBeLessThanOrEqual(filesMax)
          rmSync(folder, { recursive: true })
        },
      ),
      { numRuns: 60 },
    )
  })

  it('begins a new line behind one that was cut off, and is for the owner alone', () => {
    const path = join(temporaryFolder(), 'peer.log')
    new LogFile({ path, bytesMax: 100, filesMax: 2 }).write('one\n')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileSync(path, 'one\ntw')
    new LogFile({ path, bytesMax: 100, filesMax: 2 }).write('three\n')
    expect(readFileSync(path, 'utf8')).toBe('one\ntw\nthree\n')
  })

  it('goes on under its name after somebody has moved it away', () => {
    const path = join(temporaryFolder(), 'peer.log')
    const log = new LogFile({ path, bytesMax: 100, filesMax: 2 })
    log.write('one\n')
    renameSync(path, `${path}.moved`)
    log.write('two\n')
    log.reopen()
    log.write('three\n')
    expect(readFileSync(`${path}.moved`, 'utf8')).toBe('one\ntwo\n')
    expect(readFileSync(path, 'utf8')).toBe('three\n')
  })

  it.runIf(existsSync('/dev/full'))(
    'loses lines on a full disk, says how many, and never throws',
    () => {
      const path = join(temporaryFolder(), 'peer.log')
      symlinkSync('/dev/full', path)
      const log = new LogFile({ path, bytesMax: 1_000, filesMax: 2 })
      log.write('one\n')
      log.write('two\n')
      rmSync(path)
      log.reopen()
      log.write('three\n')
      const [lost, three] = readFileSync(path, 'utf8').trim().split('\n')
      expect(JSON.parse(lost ?? '')).toMatchObject({ lines: 2, msg: 'log lines were lost here' })
      expect(three).toBe('three')
    },
  )

  it('never grows where it cannot be moved away', () => {
    const path = join(temporaryFolder(), 'peer.log')
    mkdirSync(`${path}.1`)
    writeFileSync(join(`${path}.1`, 'full'), '')
    const log = new LogFile({ path, bytesMax: 10, filesMax: 2 })
    for (let line = 0; line < 9; line++) log.write('123456\n')
    expect(readFileSync(path, 'utf8')).toBe('123456\n')
  })

  it('says what is wrong where it cannot be written at all', () => {
    const path = join(temporaryFolder(), 'none', 'peer.log')
    expect(() => new LogFile({ path, bytesMax: 10, filesMax: 2 })).toThrow(
      /^log-file: cannot write/,
    )
  })

  it('has every line that a program was told was written, though it is killed', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'peer.log')
    const entry = join(import.meta.dirname, '../../bin/log-file.ts')
    const script = `
      import { LogFile } from ${JSON.stringify(entry)}
      const log = new LogFile({ path: ${JSON.stringify(path)}, bytesMax: 4000, filesMax: 50 })
      for (let line = 0; line < 1e6; line++) {
        log.write(line + '\\n')
        if (line % 100 === 0) process.stdout.write(line + '\\n')
      }`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script])
    let told = ''
    child.stdout.on('data', (piece) => {
      told += piece
      if (told.split('\n').length > 60) child.kill('SIGKILL')
    })
    await new Promise((resolve) => child.once('close', resolve))
    const acknowledged = Number(told.split('\n').at(-2))
    const lines = kept(path, 50).map(Number)
    expect(lines.at(-1)).toBeGreaterThanOrEqual(acknowledged)
    expect(lines).toEqual(lines.map((_, at) => (lines[0] ?? 0) + at))
  })

  it('has the log as JSON lines, and a terminal none of it', () => {
    const path = join(temporaryFolder(), 'peer.log')
    const io = stage({ tty: true })
    const log = new LogFile({ path, bytesMax: 1_000, filesMax: 2 })
    createLogger(undefined, io, log).child('api').info('listening')
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
      level: 'info',
      msg: 'listening',
    })
    expect(io.stderr.text).toBe('')
  })
})
