import { execFile } from 'node:child_process'
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { loadIdentity } from '../../src/identity/key-file.ts'
import { tempDir } from '../storage/temp-dir.ts'

const posix = process.platform !== 'win32'
const components = { random: systemRandom }

describe('identity.key', () => {
  it('is made once, for its owner alone, and read from then on', async () => {
    const dir = join(await tempDir(), 'new', 'data')
    const first = await loadIdentity(dir, components)
    const again = await loadIdentity(dir, components)
    expect(again.peerId).toBe(first.peerId)
    expect(again.privateKeySeed()).toEqual(first.privateKeySeed())
    expect(await readdir(dir)).toEqual(['identity.key'])
    if (!posix) return
    expect((await stat(join(dir, 'identity.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
  })

  it('is all that is left of a start that was killed while it wrote', async () => {
    const dir = await tempDir()
    const { peerId } = await loadIdentity(dir, components)
    await writeFile(join(dir, '.identity.key.0123456789abcdef.tmp'), 'half a secr')
    await writeFile(join(dir, '.owner.key.0123456789abcdef.tmp'), 'of another')
    expect((await loadIdentity(dir, components)).peerId).toBe(peerId)
    expect((await readdir(dir)).sort()).toEqual(['.owner.key.0123456789abcdef.tmp', 'identity.key'])
  })

  it('comes from the randomness it was given', async () => {
    const identity = await loadIdentity(await tempDir(), { random: seededRandom(7) })
    expect(identity.privateKeySeed()).toEqual(seededRandom(7).bytes(32))
  })

  it('is one key, however many ask at once', async () => {
    const dir = await tempDir()
    const all = await Promise.all(Array.from({ length: 16 }, () => loadIdentity(dir, components)))
    expect(new Set(all.map((identity) => identity.peerId)).size).toBe(1)
    expect(await readdir(dir)).toEqual(['identity.key'])
  })

  it('is one key for processes that start at once', async () => {
    const dir = await tempDir()
    const script = fileURLToPath(new URL('./load-identity.ts', import.meta.url))
    const run = () => promisify(execFile)(process.execPath, [script, dir])
    const outputs = await Promise.all([run(), run(), run()])
    const ids = new Set(outputs.map(({ stdout }) => stdout.trim()))
    expect(ids.size).toBe(1)
    expect([...ids][0]).toMatch(/^12D3Koo/)
  })

  it.runIf(posix)('that others can read or change is refused, saying what to do', async () => {
    const dir = await tempDir()
    await loadIdentity(dir, components)
    const path = join(dir, 'identity.key')
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o610]) {
      await chmod(path, mode)
      await expect(loadIdentity(dir, components)).rejects.toMatchObject({
        code: 'secret_file_rights',
        message: expect.stringContaining(`chmod 600 '${path}'`),
      })
    }
    await chmod(path, 0o400)
    await loadIdentity(dir, components)
  })

  it('that is damaged or something else is refused, and never overwritten', async () => {
    const good = await goodText()
    const bad: [string, string][] = [
      ['empty', ''],
      ['garbage', '\0\x01\x02'],
      ['cut', good.slice(0, 60)],
      ['another seed', good.replace(/seed: ../, 'seed: 00')],
      ['another peer id', good.replace(/12D3KooW./, '12D3KooWz')],
      ['short seed', good.replace(/seed: ../, 'seed: ')],
      ['upper case', good.replace(/seed: (.*)/, (line) => line.toUpperCase())],
      ['one line more', `${good}seed: 1\n`],
      ['long', good + '#'.repeat(5000)],
    ]
    for (const [what, text] of bad) {
      const dir = await tempDir()
      const path = join(dir, 'identity.key')
      await writeFile(path, text, { mode: 0o600 })
      await expect(loadIdentity(dir, components), what).rejects.toMatchObject({
        code: 'secret_file_invalid',
        path,
      })
      expect(await readFile(path, 'utf8'), what).toBe(text)
    }
  })

  it('of a later version says that a newer program is needed', async () => {
    const dir = await tempDir()
    const text = (await goodText()).replace('-v1', '-v2')
    await writeFile(join(dir, 'identity.key'), text, { mode: 0o600 })
    await expect(loadIdentity(dir, components)).rejects.toThrow(/newer pinaivu-peer/)
  })

  it('may have Windows line ends, and be a link', async () => {
    const dir = await tempDir()
    const text = await goodText()
    await writeFile(join(dir, 'real.key'), text.replaceAll('\n', '\r\n'), { mode: 0o600 })
    if (posix) await symlink('real.key', join(dir, 'identity.key'))
    else await writeFile(join(dir, 'identity.key'), text.replaceAll('\n', '\r\n'))
    expect(text).toContain((await loadIdentity(dir, components)).peerId)
  })

  it('in a place that cannot hold it is a typed error', async () => {
    const dir = await tempDir()
    await mkdir(join(dir, 'identity.key'))
    await expect(loadIdentity(dir, components)).rejects.toMatchObject({
      code: 'secret_file_invalid',
    })
    await writeFile(join(dir, 'file'), '')
    await expect(loadIdentity(join(dir, 'file'), components)).rejects.toMatchObject({
      code: 'secret_file_unavailable',
    })
    await truncate(join(dir, 'file'))
  })

  it.runIf(posix)('that is a pipe is refused instead of waited for', async () => {
    const dir = await tempDir()
    await promisify(execFile)('mkfifo', ['-m', '600', join(dir, 'identity.key')])
    await expect(loadIdentity(dir, components)).rejects.toMatchObject({
      code: 'secret_file_invalid',
    })
  })
})

describe('an identity', () => {
  it('never shows its seed by being printed', () => {
    const seed = Uint8Array.from({ length: 32 }, (_, n) => n + 100)
    const identity = identityFromSeed(seed)
    const shown = inspect(identity, { depth: 9, showHidden: true }) + JSON.stringify(identity)
    expect(shown).toContain(identity.peerId)
    expect(shown).not.toMatch(/100,\s*101,\s*102/)
    expect(shown).not.toContain(Buffer.from(seed).toString('hex'))
    expect(shown).not.toContain(Buffer.from(seed).toString('base64'))
  })

  it('hands out copies of its seed, and takes one of exactly 32 bytes', () => {
    const identity = identityFromSeed(new Uint8Array(32))
    identity.privateKeySeed().fill(1)
    expect(identity.privateKeySeed()).toEqual(new Uint8Array(32))
    expect(() => identityFromSeed(new Uint8Array(31))).toThrow(/32 bytes/)
  })
})

async function goodText(): Promise<string> {
  const dir = await tempDir()
  await loadIdentity(dir, { random: seededRandom(3) })
  return readFile(join(dir, 'identity.key'), 'utf8')
}
