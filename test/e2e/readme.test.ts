import { execFile } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type PeerProcess,
  program,
  runProgram,
  startPeer,
  temporaryFolder,
} from './peer-process.ts'

// The README is true because its examples run here, on another port and with another home.

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')

function block(language: string, mention = ''): string {
  const all = readme.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))
  const found = [...all].map(([, text]) => text).find((text) => text?.includes(mention))
  if (found === undefined) throw new Error(`the README has no block in ${language}`)
  return found
}

describe('the README', () => {
  const home = temporaryFolder()
  const dataDir = join(home.path, '.local/share/pinaivu')
  let peer: PeerProcess
  let env: Record<string, string>

  beforeAll(async () => {
    peer = await startPeer({ dataDir })
    const { PATH = '' } = process.env
    env = { PATH, HOME: home.path, PEER_KEY: peer.ready.apiKey }
  })
  afterAll(async () => {
    await peer.stop()
    home.remove()
  })

  const here = (text: string) => text.replaceAll('http://127.0.0.1:7462', peer.ready.http)

  it('shows a curl command that works', async () => {
    const { stdout } = await run('bash', ['-euc', here(block('bash'))], { env })
    expect(JSON.parse(stdout).choices[0].message.content).toContain('one running process')
  })

  it.each(['openai', 'ghost'])('shows JavaScript that works, with %s', async (mention) => {
    const script = join(root, 'test/e2e/.readme-example.mjs')
    writeFileSync(script, here(block('js', mention)))
    try {
      const { stdout } = await run(process.execPath, [script], { env })
      expect(stdout.length).toBeGreaterThan(20)
    } finally {
      rmSync(script)
    }
  })

  it('shows Python whose request is answered as it expects', async () => {
    const python = block('python')
    const model = /model="([^"]+)"/.exec(python)?.[1]
    const input = /input=(\[[^\]]+\])/.exec(python)?.[1] ?? ''
    const answer = await fetch(`${peer.ready.http}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${env.PEER_KEY}`, 'content-type': 'application/json' },
      // What the Python client sends by itself.
      body: JSON.stringify({ model, input: JSON.parse(input), encoding_format: 'base64' }),
    })
    const { data } = await answer.json()
    expect(data).toHaveLength(2)
    expect(Buffer.from(data[0].embedding, 'base64')).toHaveLength(256 * 4)
  })

  it('names commands and options that exist', async () => {
    const commands = [...readme.matchAll(/npx pinaivu-peer (\w+(?: create)?)/g)].map(
      ([, name]) => name ?? '',
    )
    expect(commands.length).toBeGreaterThan(3)
    let all = (await runProgram(['keys', 'create', '--help'])).stdout
    for (const name of new Set([...commands, 'start', 'testnet'])) {
      const help = await runProgram([...name.split(' '), '--help'])
      expect([name, help.code]).toEqual([name, 0])
      all += help.stdout
    }
    const options = [...readme.matchAll(/(?<= |`)--(?!omit)([a-z][a-z-]+)/g)].map(
      ([, name]) => name,
    )
    for (const name of options) expect(all).toContain(`--${name}`)
  })

  it('names fields of a request that exist', async () => {
    const wishes = JSON.parse(block('json').replace('12D3Koo…', peer.ready.peerId))
    const messages = [{ role: 'user', content: 'Hello' }]
    const body = JSON.stringify({ model: 'pinaivu-demo', messages, ...wishes })
    const answer = await fetch(`${peer.ready.http}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${env.PEER_KEY}`, 'content-type': 'application/json' },
      body,
    })
    // It is alone, and asked not to do it itself.
    expect([answer.status, (await answer.json()).error.code]).toEqual([503, 'no_nodes_available'])
  })

  it('promises the curl line of the banner, and that line works', async () => {
    const folder = temporaryFolder()
    const banner = execFile(
      process.execPath,
      [
        program,
        ...['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0'],
        ...['--data-dir', folder.path],
      ],
      { env },
    )
    const ended = new Promise((resolve) => banner.once('exit', resolve))
    try {
      let text = ''
      const line = await new Promise<string>((resolve, reject) => {
        banner.once('exit', () => reject(new Error(`no curl line in:\n${text}`)))
        banner.stdout?.on('data', (data: string) => {
          text += data
          const found = /^ *(curl [\s\S]*?[^\\])\n/m.exec(text)?.[1]
          if (found !== undefined) resolve(found)
        })
      })
      const { stdout } = await run('bash', ['-euc', line], { env })
      expect(stdout).toMatch(/content/)
      // Not a terminal, so the key itself is not shown.
      expect(text).not.toContain('sk-pnv-')
    } finally {
      banner.kill('SIGINT')
      await ended
      folder.remove()
    }
  })
})
