import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writePeerInfo } from '../../src/peer-file.ts'
import { fakeHub, sha256 } from '../engines/store/fake-hub.ts'
import { stage, temporaryFolder } from './stage.ts'

// A real model, so that llama.cpp reads its head.
const draft = readFileSync(join(import.meta.dirname, '../../models/pinaivu-demo-draft-q8_0.gguf'))
const repo = {
  id: 'org/Tiny-GGUF',
  licence: 'llama3.2',
  files: [{ path: 'Tiny-Q8_0.gguf', bytes: draft }],
}
const uri = 'hf:org/Tiny-GGUF:Q8_0'

async function machine(options: { tty?: boolean; gated?: boolean } = {}) {
  const hub = await fakeHub({ ...repo, gated: options.gated === true })
  const dataDir = temporaryFolder()
  const at = ['--data-dir', dataDir]
  /** One run of the program; what it said. */
  const run = async (args: string[], { answer = '' } = {}) => {
    const io = stage({
      tty: options.tty === true,
      env: { PATH: process.env.PATH ?? '', HF_ENDPOINT: hub.url },
    })
    const running = io.run(...args, ...at)
    if (answer !== '') {
      await io.stdout.until('[y/N]')
      io.stdin.write(`${answer}\n`)
    }
    return { code: await running, stdout: io.stdout.text, stderr: io.stderr.text }
  }
  return { dataDir, run }
}

describe('models of this machine', () => {
  it('are pulled, listed, shown and removed', async () => {
    const { run, dataDir } = await machine()
    const refused = await run(['models', 'pull', uri])
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/^Error: .*licence llama3\.2 .*--accept-licence\.\n$/),
    ])
    const pulled = await run(['models', 'pull', uri, '--accept-licence'])
    expect(pulled.stderr).toBe('')
    expect(pulled.stdout).toMatch(/^Pulling Tiny-Q8_0 \(778 KiB\)$/m)
    expect(pulled.stdout).toMatch(/^Tiny-Q8_0 {2}100% {2}778 KiB of 778 KiB/m)
    expect(pulled.stdout).toMatch(/Serve it: pinaivu-peer start --model Tiny-Q8_0$/m)
    const list = await run(['models', 'list'])
    expect(list.stdout).toMatch(/^NAME +ARCH +PARAMS +QUANT +CONTEXT +SIZE +FIT +CID$/m)
    expect(list.stdout).toMatch(/^Tiny-Q8_0 +llama +\S+ +Q8_0 +\d+ +778 KiB +yes +bafkrei/m)
    const [row] = JSON.parse((await run(['models', 'list', '--json'])).stdout)
    expect(row).toMatchObject({
      ...{ name: 'Tiny-Q8_0', state: 'stored', uri, kind: 'chat', architecture: 'llama' },
      ...{ quant: 'Q8_0', size_bytes: draft.length, fit: { fits: true }, fault: null },
      ...{ licence: { id: 'llama3.2' }, id: expect.stringMatching(/^cid:bafkrei/) },
    })
    expect(row.parameters).toBeGreaterThan(100_000)
    expect(row.context_length).toBeGreaterThan(500)
    const shown = await run(['models', 'show', uri])
    expect(shown.stdout).toContain(`${sha256(draft)}  Tiny-Q8_0.gguf`)
    expect(shown.stdout).toContain(`From         ${uri} at 0123456789ab`)
    const info = { version: '0.1.0', peerId: 'p', pid: process.pid, http: null, certFile: null }
    await writePeerInfo(dataDir, { ...info, files: [row.path] })
    const busy = await run(['models', 'rm', 'Tiny-Q8_0'])
    expect([busy.code, busy.stderr]).toEqual([
      1,
      expect.stringMatching(/The peer that runs here \(process \d+\) serves Tiny-Q8_0\. Stop it/),
    ])
    await writePeerInfo(dataDir, { ...info, files: ['/elsewhere.gguf'] })
    expect((await run(['models', 'rm', 'Tiny-Q8_0'])).stdout).toMatch(/778 KiB are free again/)
    expect((await run(['models', 'list'])).stdout).toMatch(/No model is stored here\. Fetch one:/)
    expect((await run(['models', 'rm', 'Tiny-Q8_0'])).stderr).toMatch(/No model "Tiny-Q8_0" is st/)
    expect(statSync(join(dataDir, 'models')).mode & 0o077).toBe(0)
  })

  it('are told of as JSON lines, under the name that was given', async () => {
    const { run } = await machine()
    const { stdout, stderr, code } = await run([
      ...['models', 'pull', `tiny:1=${uri}`, '--json', '--accept-licence'],
    ])
    expect([code, stderr]).toEqual([0, ''])
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events.map(({ event, type }) => type ?? event)).toEqual(
      expect.arrayContaining(['licence', 'begins', 'progress', 'pulled']),
    )
    expect(events.at(-2)).toMatchObject({ received_bytes: draft.length, size_bytes: draft.length })
    expect(events.at(-1)).toMatchObject({ event: 'pulled', was_there: false, name: 'tiny:1' })
  })

  it('have their licence agreed to at a terminal, and a bar', async () => {
    const { run } = await machine({ tty: true })
    expect((await run(['models', 'pull', uri], { answer: 'n' })).code).toBe(1)
    const pulled = await run(['models', 'pull', uri], { answer: 'y' })
    expect(pulled.code).toBe(0)
    expect(pulled.stdout).toContain('█')
    expect(pulled.stdout).toContain('Do you agree to the licence llama3.2')
  })

  it('say what is wrong with what cannot be pulled', async () => {
    const { run, dataDir } = await machine({ gated: true })
    const pull = async (...args: string[]) => {
      const { code, stderr } = await run(['models', 'pull', ...args, '--accept-licence'])
      return `${code} ${stderr}`
    }
    expect(await pull(uri)).toMatch(/^1 Error: org\/Tiny-GGUF is gated: .*set HF_TOKEN.*\n$/)
    expect(await pull('hf:org')).toMatch(/^2 Error: expected hf:ORG\/REPO:QUANT, such as/)
    expect(await pull('http://example.org/a.gguf')).toMatch(/^2 .*is not encrypted\. Use https/)
    expect(await pull('/none.gguf')).toMatch(/^1 Error: Cannot read \/none\.gguf: ENOENT/)
    expect(await pull(uri, '--model-quota', '1K')).toMatch(/^1 /)
    const fake = join(dataDir, 'fake.gguf')
    writeFileSync(fake, 'GGUF and then nothing of the kind')
    expect(await pull(fake)).toMatch(/^1 Error: fake\.gguf is not a usable model file\./)
  })
})
