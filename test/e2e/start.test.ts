import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, type PeerProcess, runProgram, startPeer, temporaryFolder } from './peer-process.ts'

const question = {
  model: 'pinaivu-demo',
  temperature: 0,
  messages: [{ role: 'user', content: 'What is a peer?' }],
}

describe('a started peer', () => {
  const folder = temporaryFolder()
  let peer: PeerProcess

  beforeAll(async () => {
    peer = await startPeer({ dataDir: folder.path })
  })
  afterAll(async () => {
    await peer.stop()
    folder.remove()
  })

  it('prints the ready line of the contract', () => {
    const { ready } = peer
    expect(ready).toMatchObject({
      event: 'ready',
      peerId: expect.stringMatching(/^12D3Koo/),
      http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      apiKey: expect.stringMatching(/^sk-pnv-[0-9A-Za-z]{43}$/),
      models: ['pinaivu-demo', 'pinaivu-demo-embed'],
      roles: ['provider', 'coordinator', 'auditor'],
      dataDir: folder.path,
    })
    expect(ready.addrs[0]).toContain(`/p2p/${ready.peerId}`)
  })

  it('answers a question while its model may still load', async () => {
    const answer = await ask(peer.ready, '/v1/chat/completions', question)
    const body = await answer.json()
    expect(answer.status).toBe(200)
    expect(body.choices[0].message.content).toContain('one running process in the network')
    expect(body.request_id).toBe(answer.headers.get('x-request-id'))
  })

  it('gives the same answer again at temperature 0', async () => {
    const texts = await Promise.all(
      [1, 2].map(async () => {
        const answer = await ask(peer.ready, '/v1/chat/completions', question)
        return (await answer.json()).choices[0].message.content
      }),
    )
    expect(texts[0]).toBe(texts[1])
  })

  it('keeps its secrets to the owner', () => {
    for (const file of ['identity.key', 'owner.key', 'peer.json']) {
      expect(statSync(join(folder.path, file)).mode & 0o077).toBe(0)
    }
    expect(peer.log()).not.toContain(peer.ready.apiKey)
  })

  it('tells a second peer on the same data folder what to do', async () => {
    const args = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
    const second = await runProgram(['start', ...args, '--data-dir', folder.path])
    expect(second.code).toBe(1)
    expect(second.stderr).toContain('--data-dir')
  })

  it('is found by the commands', async () => {
    const status = await runProgram(['status', '--json', '--data-dir', folder.path])
    expect(status.code).toBe(0)
    expect(JSON.parse(status.stdout)).toMatchObject({ network: { peer_id: peer.ready.peerId } })
    const models = await runProgram(['models', '--data-dir', folder.path])
    expect(models.stdout).toContain('pinaivu-demo-embed')
    const chat = await runProgram(['chat', '--data-dir', folder.path, '--temperature', '0'], {
      input: 'What is a peer?\n',
    })
    expect(chat.stdout).toContain('one running process in the network')
  })

  it('makes keys that work, and lists them without their secret', async () => {
    const folderArgs = ['--json', '--data-dir', folder.path]
    const made = await runProgram(['keys', 'create', '--name', 'laptop', ...folderArgs])
    expect(made.code).toBe(0)
    const { key } = JSON.parse(made.stdout)
    const answer = await ask({ ...peer.ready, apiKey: key }, '/v1/models')
    expect(answer.status).toBe(200)
    const list = await runProgram(['keys', 'list', ...folderArgs])
    expect(list.stdout).toContain('laptop')
    expect(list.stdout).not.toContain(key)
    const { id } = JSON.parse(made.stdout)
    const rotated = await runProgram(['keys', 'rotate', id, '--overlap', '0', ...folderArgs])
    const { key: next } = JSON.parse(rotated.stdout)
    const statusOf = async (apiKey: string) =>
      (await ask({ ...peer.ready, apiKey }, '/v1/models')).status
    expect([await statusOf(key), await statusOf(next)]).toEqual([401, 200])
    const revoked = await runProgram(['keys', 'revoke', id, ...folderArgs])
    expect([revoked.code, await statusOf(next)]).toEqual([0, 401])
  })
})

describe('starting', () => {
  it('keeps identity and key over a restart, also after a SIGKILL', async () => {
    const folder = temporaryFolder()
    try {
      const first = await startPeer({ dataDir: folder.path })
      await first.kill()
      const second = await startPeer({ dataDir: folder.path })
      expect(await second.stop()).toBe(0)
      expect(second.ready.peerId).toBe(first.ready.peerId)
      expect(second.ready.apiKey).toBe(first.ready.apiKey)
    } finally {
      folder.remove()
    }
  })

  it('says which option helps when its port is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const folder = temporaryFolder()
    try {
      const { port } = other.address() as AddressInfo
      const args = ['--listen', '/ip4/127.0.0.1/tcp/0', '--data-dir', folder.path]
      const peer = await runProgram(['start', ...args, '--http', `127.0.0.1:${port}`])
      expect(peer.code).toBe(1)
      expect(peer.stderr).toContain('--http')
      expect(peer.stderr).not.toContain('    at ')
    } finally {
      other.close()
      folder.remove()
    }
  })

  it('refuses what it does not know, with the right exit code', async () => {
    const wrong = await runProgram(['start', '--modle', 'x'])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('--model')
    const missing = await runProgram(['start', '--model', '/nowhere/at/all.gguf'])
    expect(missing.code).toBe(2)
    expect(missing.stderr).toContain('/nowhere/at/all.gguf')
  })

  it('tells of a data folder without a peer', async () => {
    const folder = temporaryFolder()
    const status = await runProgram(['status', '--data-dir', folder.path])
    folder.remove()
    expect(status.code).toBe(1)
    expect(status.stderr).toContain('pinaivu-peer start')
  })

  it('has help with examples for every command', async () => {
    const help = await runProgram(['--help'])
    expect(help.code).toBe(0)
    for (const command of ['start', 'chat', 'status', 'models', 'keys']) {
      expect(help.stdout).toContain(command)
    }
    const startHelp = await runProgram(['start', '--help'])
    expect(startHelp.stdout).toContain('127.0.0.1:7462')
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    const printed = await runProgram(['--version'])
    expect(printed.stdout.trim()).toBe(JSON.parse(manifest).version)
  })
})
