import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { png } from '../accounts/files/media-files.ts'
import { rounds } from '../campaign.ts'
import {
  ask,
  type PeerProcess,
  program,
  runProgram,
  startPeer,
  temporaryFolder,
} from './peer-process.ts'

// A peer that works for money is backed up while it works, lost, and restored.

const folder = temporaryFolder()
const dataDir = join(folder.path, 'peer')
const file = join(folder.path, 'peer.backup')
const env = { PINAIVU_PASSPHRASE: 'correct horse battery staple' }
const picture = png(1, 40_000)
const args = ['--price', '1000/2000']
const GRANT = 100_000_000
let peer: PeerProcess
let key: string

const cli = async (command: string[], dir = dataDir) => {
  const done = await runProgram([...command, '--json', '--data-dir', dir], { env })
  return { ...done, json: JSON.parse(done.stdout || 'null') }
}

const asAlice = () => ({ ...peer.ready, apiKey: key })

interface Answer {
  content: string
  receipt: string
}

async function chat(n: number): Promise<Answer> {
  const messages = [{ role: 'user', content: `What is ${n}?` }]
  const asked = { model: 'pinaivu-demo', max_tokens: 4, messages }
  const answer = await ask(asAlice(), '/v1/chat/completions', asked)
  expect(answer.status).toBe(200)
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] }
  const receipt = answer.headers.get('x-pinaivu-receipt-cid') ?? ''
  return { content: choices[0]?.message.content ?? '', receipt }
}

const get = async (path: string) => {
  const answer = await ask(asAlice(), path)
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> }
}

async function upload(): Promise<string> {
  const form = new FormData()
  form.set('kind', 'image')
  form.set('file', new Blob([Uint8Array.from(picture)]), 'a.png')
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(`${peer.ready.http}/api/v1/files`, {
    ...{ method: 'POST', headers, body: form },
  })
  return String(((await answer.json()) as { id: string }).id)
}

const ownEpochs = async (): Promise<string[]> => {
  const heads = await (await ask(peer.ready, '/v8/log/heads')).json()
  const { data } = heads as { data: { author: string; epoch: string }[] }
  return data.filter(({ author }) => author === peer.ready.peerId).map(({ epoch }) => epoch)
}

/** A command on its way, held where `isThere` first holds. */
async function heldAt(command: string[], isThere: () => boolean): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...command, '--json'], {
    ...{ env: { PATH: process.env.PATH ?? '', ...env }, stdio: 'ignore' },
  })
  while (!isThere()) {
    if (child.exitCode !== null) throw new Error(`it ended first: ${child.exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  child.kill('SIGSTOP')
  return child
}

const exitOf = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))

const beside = (path: string) =>
  readdirSync(dirname(path)).filter(
    (name) => name.startsWith(basename(path)) && name !== basename(path),
  )

/** So much that a command is not done before it is stopped; no disk is taken by it. */
function bigFile(bytes: number): string {
  const path = join(dataDir, 'files/ff', 'ff'.repeat(32))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '')
  truncateSync(path, bytes)
  return path
}

beforeAll(async () => {
  peer = await startPeer({ dataDir, args })
  const made = await ask(peer.ready, '/api/v1/auth/api-keys', { name: 'app', account: 'alice' })
  key = ((await made.json()) as { key: string }).key
  await ask(peer.ready, '/api/v1/credits/grants', { account: 'alice', amount: GRANT })
})
afterAll(async () => {
  await peer.kill()
  folder.remove()
})

/** `test/backup/killed.test.ts` kills the same at other moments, and faster. */
const long = it.runIf(rounds(0, 1) > 0)

describe('a peer that is lost', () => {
  it('is restored from a backup that was made while it worked', async () => {
    const id = await upload()
    const before = [await chat(1), await chat(2)]
    const [epoch] = await ownEpochs()
    let isOver = false
    const after: Answer[] = []
    const work = async () => {
      for (let n = 3; !isOver; n++) after.push(await chat(n))
    }
    const working = Promise.all([work(), work()])
    const made = await cli(['backup', file])
    isOver = true
    await working
    expect(after.length).toBeGreaterThan(0)
    expect([made.code, made.stderr]).toEqual([0, ''])
    expect(made.json).toMatchObject({ file, peer_id: peer.ready.peerId, damaged_files: 0 })
    expect(made.json.bytes).toBe(statSync(file).size)
    const { ready } = peer
    const { available_credits: left } = (await get('/api/v1/credits')).json
    await peer.kill()
    await rename(dataDir, join(folder.path, 'lost'))

    const restored = await cli(['restore', file])
    expect([restored.code, restored.stderr]).toEqual([0, ''])
    expect(restored.json).toMatchObject({ data_dir: dataDir, moved_to: null })
    peer = await startPeer({ dataDir, args })
    expect([peer.ready.peerId, peer.ready.apiKey]).toEqual([ready.peerId, ready.apiKey])
    const content = await ask(asAlice(), `/api/v1/files/${id}/content`)
    expect(Buffer.from(await content.arrayBuffer()).equals(Buffer.from(picture))).toBe(true)
    for (const { receipt } of before) {
      const found = await get(`/v8/receipts/${receipt}`)
      expect(found).toMatchObject({ status: 200, json: { verified: true } })
    }
    const audit = await cli(['credits', 'audit'])
    expect([audit.code, audit.json]).toMatchObject([0, { ok: true, sum: 0 }])
    // What it paid after the backup, it has again.
    const { available_credits: has } = (await get('/api/v1/credits')).json
    expect(Number(has)).toBeGreaterThanOrEqual(Number(left))
    expect(Number(has)).toBeLessThan(GRANT)
    await chat(99)
    const epochs = await ownEpochs()
    expect(epochs).toHaveLength(2)
    expect(epochs).toContain(epoch)
    const again = await ask(peer.ready, '/api/v1/credits/audit')
    expect(await again.json()).toMatchObject({ ok: true })
  })

  long('is not half backed up when the command or the peer is killed meanwhile', async () => {
    const other = join(folder.path, 'other.backup')
    const path = bigFile(1024 ** 3)
    const isBegun = () => {
      const [name] = beside(other)
      // What was left of one is taken away by the next.
      const found = statSync(join(folder.path, name ?? 'none'), { throwIfNoEntry: false })
      return (found?.size ?? 0) > 1024 * 1024
    }
    const command = ['backup', other, '--data-dir', dataDir]
    const killed = await heldAt(command, isBegun)
    killed.kill('SIGKILL')
    await exitOf(killed)
    expect(existsSync(other)).toBe(false)
    const left = beside(other)
    expect(left).toHaveLength(1)
    // The peer has noticed, and takes the next one.
    const alone = await heldAt(command, () => isBegun() && !beside(other).includes(left[0] ?? ''))
    await peer.kill()
    const code = exitOf(alone)
    alone.kill('SIGCONT')
    expect(await code).toBe(1)
    expect([existsSync(other), beside(other)]).toEqual([false, []])
    rmSync(path)
  })

  long('is not half restored when the command is killed meanwhile', async () => {
    const other = join(folder.path, 'other.backup')
    const path = bigFile(32 * 1024 * 1024)
    // Nothing runs: the command opens the folder itself.
    expect(await cli(['backup', other])).toMatchObject({ code: 0, json: { damaged_files: 1 } })
    rmSync(path)
    const target = join(folder.path, 'again')
    const killed = await heldAt(['restore', other, '--data-dir', target], () => {
      const [name] = beside(target)
      return name !== undefined && existsSync(join(folder.path, name, 'files/ff'))
    })
    killed.kill('SIGKILL')
    await exitOf(killed)
    expect(existsSync(target)).toBe(false)
    expect(beside(target)).toHaveLength(1)
    expect((await cli(['restore', file], target)).code).toBe(0)
    expect(beside(target)).toEqual([])
  })
})
