import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fakeHub } from '../engines/store/fake-hub.ts'
import { runProgram, temporaryFolder } from './peer-process.ts'

const draft = readFileSync(join(import.meta.dirname, '../../models/pinaivu-demo-draft-q8_0.gguf'))

const mounts = ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', '/mnt']
const canMount = spawnSync('unshare', mounts).status === 0
if (!canMount) console.warn('Not run: a full disk needs Linux and root.')

/** A disk of its own, that nobody else sees, with room for so many files. */
async function disk(files: number) {
  const { path, remove } = temporaryFolder()
  const mount = `mount -t tmpfs -o size=1g,nr_inodes=${files} tmpfs ${path} && echo && exec sleep 60`
  const holder = spawn('unshare', ['-m', 'sh', '-c', mount], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    holder.kill('SIGKILL')
    remove()
  })
  await once(holder.stdout, 'data')
  const prefix = ['nsenter', '-t', String(holder.pid), '-m', '--']
  const [command = '', ...words] = prefix
  const sh = (line: string) =>
    execFileSync(command, [...words, 'sh', '-c', line], { encoding: 'utf8', cwd: '/' }).trim()
  const fill = () => sh(`cd ${path} && i=0 && while touch fill$i 2>&-; do i=$((i+1)); done`)
  const free = () => sh(`rm -f ${path}/fill*`)
  return { path, prefix, sh, fill, free }
}

const title = 'a disk that is full'
describe.skipIf(!canMount)(canMount ? title : `${title}: nothing can be mounted here`, () => {
  it('has no half of a config.toml, and says what to do', { timeout: 30_000 }, async () => {
    const { path, prefix, sh, fill, free } = await disk(40)
    const set = (price: string) =>
      runProgram(['config', 'set', 'price', price, '--data-dir', `${path}/data`], { prefix })
    expect((await set('1/2')).code).toBe(0)
    const before = sh(`cat ${path}/data/config.toml`)
    fill()
    const { code, stderr } = await set('3/4')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/config\.toml: the disk is full\. It is as it was: make room/),
    ])
    expect(sh(`cat ${path}/data/config.toml`)).toBe(before)
    expect(sh(`ls ${path}/data`)).toBe('config.toml')
    free()
    expect((await set('3/4')).code).toBe(0)
    expect(sh(`grep ^price ${path}/data/config.toml`)).toBe('price = "3/4"')
  })

  it('has no half of a model, and a pull goes on once there is room', {
    timeout: 30_000,
  }, async () => {
    const { path, prefix, sh, fill, free } = await disk(60)
    const hub = await fakeHub({ id: 'o/r', files: [{ path: 'm-Q8_0.gguf', bytes: draft }] })
    hub.faults = [{ hangAfter: 500_000 }]
    const args = ['models', 'pull', 'hf:o/r:Q8_0', '--json', '--data-dir', `${path}/data`]
    const pull = () => runProgram(args, { prefix, env: { HF_ENDPOINT: hub.url } })
    const first = pull()
    const part = `find ${path}/data -name '*.part' -size +400k`
    await vi.waitUntil(() => sh(`${part} 2>/dev/null || true`) !== '', { timeout: 20_000 })
    fill()
    hub.breakOff()
    for (const { code, stderr } of [await first, await pull()]) {
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/is full\. Make room and pull again/),
      ])
    }
    expect(sh(part)).not.toBe('')
    free()
    expect(await pull()).toMatchObject({ code: 0, stderr: '' })
    expect(hub.of('cdn').at(-1)?.range).toMatch(/^bytes=\d{6}-$/)
    expect(sh(`find ${path}/data/models -name '*.part*' -o -name '*.new'`)).toBe('')
  })
})
