import { copyFileSync, existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../bin/command.ts'
import { runStart, start } from '../../bin/start.ts'
import type { Config } from '../../src/index.ts'
import { dataFolder } from '../backup/stage.ts'
import { fakePeer, json, stage, temporaryFolder } from './stage.ts'

async function place() {
  const home = temporaryFolder()
  const dataDir = await dataFolder(join(home, 'peer'))
  const words = join(home, 'words')
  writeFileSync(words, 'open sesame\nnot this\n')
  const file = join(home, 'peer.backup')
  return { home, dataDir, words, file, target: join(home, 'again') }
}

describe('backup and restore', () => {
  it('ask for the passphrase on a terminal, twice and unseen, and tell what they did', async () => {
    const { dataDir, file, target } = await place()
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const made = io.run('backup', file, '--data-dir', dataDir)
    await io.stderr.until('Passphrase: ')
    io.stdin.write('open sesame\r')
    await io.stderr.until('Once more:  ')
    io.stdin.write('open sesame\r')
    expect([await made, io.stderr.text]).toEqual([0, expect.not.stringContaining('sesame')])
    expect(io.stdout.text).toMatch(/^Written to .*peer\.backup, 2\d\d\.\d KiB\.\n/)
    expect(io.stdout.text).toMatch(/rows +21\n.*files +6, 195\.\d KiB/s)
    expect(io.stdout.text).not.toContain('sesame')
    const again = stage({ env: { PINAIVU_PASSPHRASE: 'open sesame' } })
    expect(await again.run('restore', file, '--json', '--data-dir', target)).toBe(0)
    expect(JSON.parse(again.stdout.text)).toMatchObject({
      ...{ data_dir: target, moved_to: null, rows: 21, files: 6, damaged_files: 0 },
      peer_id: expect.stringMatching(/^12D3Koo/),
    })
    const forced = stage({ env: { PINAIVU_PASSPHRASE: 'open sesame' } })
    expect(await forced.run('restore', file, '--force', '--data-dir', target)).toBe(0)
    expect(forced.stdout.text).toContain(`What was there is now in ${target}.before-restore-`)
    expect(forced.stdout.text).toContain('Keys that were revoked since then work again')
  })

  it('write nothing where the two are not the same, are empty, or never come', async () => {
    const { dataDir, file } = await place()
    const answers: [string[], RegExp][] = [
      [['one\r', 'two\r'], /two different passphrases/],
      [['\r'], /The passphrase is empty/],
      [['half\u0003'], /There was no passphrase/],
      [['\u0004'], /There was no passphrase/],
    ]
    for (const [lines, told] of answers) {
      const io = stage({ tty: true })
      const made = io.run('backup', file, '--data-dir', dataDir)
      let at = 0
      for (const line of lines) {
        at = await io.stderr.until(':', at)
        io.stdin.write(line)
      }
      expect(await made).toBeGreaterThan(0)
      expect(io.stderr.text).toMatch(told)
    }
    const io = stage({ tty: true })
    const made = io.run('backup', file, '--data-dir', dataDir)
    await io.stderr.until('Passphrase: ')
    io.interrupt()
    expect(await made).toBe(1)
    expect(existsSync(file)).toBe(false)
  })

  it.each([
    [['backup'], 2, /Name the file of the backup/],
    [['backup', 'a', 'b'], 2, /has no use for "b"/],
    [['backup', 'FILE'], 2, /no terminal to ask for the passphrase on/],
    [['backup', 'FILE', '--passphrase-file', '/nowhere/x'], 1, /Cannot read the passphrase/],
    [['backup', 'FILE', '--passphrase-file', '/dev/null'], 2, /passphrase is empty/],
    [['backup', 'FILE', '--passphrase-file', '/dev/zero'], 1, /it is too long/],
    [['backup', 'FILE', '--no-passphrase'], 2, /has no option --no-passphrase/],
    [['restore', '/nowhere/x'], 1, /Cannot read \/nowhere\/x/],
    [['restore', '/dev/null'], 1, /is not a file/],
    [['restore', 'WORDS', '--force'], 1, /is no backup of a pinaivu-peer/],
    [['restore', 'WORDS'], 1, /is not empty.*--force/],
  ])('%j is refused in one line', async (args, code, told) => {
    const { home, dataDir, words, file } = await place()
    const io = stage()
    const names: Record<string, string> = { FILE: file, WORDS: words }
    const line = args.map((word) => names[word] ?? word)
    expect(await io.run(...line, '--data-dir', dataDir)).toBe(code)
    expect(io.stderr.text).toMatch(told)
    expect(io.stderr.text.trim().split('\n').length).toBeLessThanOrEqual(code)
    expect(readdirSync(home).sort()).toEqual(['peer', 'words'])
  })

  it('take the first line of a file, and find no peer where none is', async () => {
    const { home, words, file } = await place()
    await mkdir(join(home, 'empty'))
    const io = stage()
    const args = ['--passphrase-file', words, '--data-dir', join(home, 'empty')]
    expect(await io.run('backup', file, ...args)).toBe(1)
    expect(io.stderr.text).toMatch(/There is no peer in/)
  })

  it('are finished by "start", before it reads its configuration', async () => {
    const { dataDir } = await place()
    renameSync(dataDir, `${dataDir}.restored`)
    const io = stage()
    let region: string | undefined
    const create = (config: Config) => {
      region = config.region
      throw new Error('far enough')
    }
    const input = parseCommandLine(start, ['--data-dir', dataDir], io.env)
    await expect(runStart(input, io, create)).rejects.toThrow('far enough')
    expect(region).toBe('DE')
    expect(io.stderr.text).toContain('a restore that was interrupted at its end is finished now')
  })

  it('ask a running peer with the key of its owner, and say what it says', async () => {
    const refusal = json({ error: { message: 'A backup is being made.' } }, 503)
    const { dataDir, asked } = await fakePeer({ 'POST /api/v1/backup': refusal })
    const file = join(dataDir, 'x')
    const io = stage({ env: { PINAIVU_PASSPHRASE: 'x' } })
    // What a fake lacks of a data folder.
    const { home } = await place()
    copyFileSync(join(home, 'peer/identity.key'), join(dataDir, 'identity.key'))
    expect(await io.run('backup', file, '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toBe('Error: A backup is being made.\n')
    const { method, path, authorization } = asked.at(-1) ?? {}
    const bearer = 'Bearer sk-pnv-owner'
    expect([method, path, authorization]).toEqual(['POST', '/api/v1/backup', bearer])
    expect(existsSync(file)).toBe(false)
  })
})
