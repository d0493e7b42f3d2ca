import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { verifyReceipt } from '../../src/sdk/index.ts'
import {
  type PeerProcess,
  program,
  runProgram,
  startPeer,
  temporaryFolder,
} from './peer-process.ts'
import { hasPython, Terminal } from './terminal.ts'

const answer =
  'A peer is one running process in the network. It has its own key, talks to other peers over ' +
  'libp2p, and can run models or route requests.'
const folder = temporaryFolder()
const common = ['--data-dir', folder.path, '--temperature', '0']
let peer: PeerProcess

beforeAll(async () => {
  peer = await startPeer({ dataDir: folder.path })
})
afterAll(async () => {
  await peer.stop()
  folder.remove()
})

describe('chat in a pipe', () => {
  it('prints the answer and nothing else', async () => {
    const input = 'What is a peer?\n'
    expect(await runProgram(['chat', ...common], { input })).toEqual({
      ...{ code: 0, stdout: `${answer}\n`, stderr: '' },
    })
    const about = await runProgram(['chat', 'pinaivu-demo', 'What is', ...common, '--json'], {
      input: 'a peer?',
    })
    const events = about.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const done = events.pop()
    expect(done).toMatchObject({ event: 'done', question: 'What is\n\na peer?' })
    expect(events.map(({ text }) => text).join('')).toBe(done.answer)
    const { cid } = done.receipt
    const receipt = await fetch(`${peer.ready.http}/v8/receipts/${encodeURIComponent(cid)}`)
    const report = verifyReceipt(await receipt.json(), { cid, answer: done.answer })
    expect(report.holds).toBe(true)
  })

  it('ends quietly when nobody reads', async () => {
    const story = [program, 'chat', 'pinaivu-demo', 'Tell me a long story.', ...common, '--json']
    const child = spawn(process.execPath, story, { stdio: ['ignore', 'pipe', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString()
    })
    await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
    child.stdout.destroy()
    await new Promise<void>((resolve) => child.once('close', () => resolve()))
    expect(stderr).toBe('')
  })
})

const title = 'chat at a terminal'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  const esc = '\u001b'
  const prompt = `${esc}[0J> ${esc}[3G`

  function open(...args: string[]): Terminal {
    const terminal = new Terminal(['chat', ...common, ...args], { HOME: folder.path })
    onTestFinished(() => terminal.kill())
    return terminal
  }

  it('converses, pastes, stops, proves and saves', async () => {
    const terminal = open()
    const first = await terminal.until(prompt)
    expect(first).toContain(`${esc}[?2004h`)
    expect(first).toContain(`${esc}[2mpinaivu-demo`)
    // Dim while it is drafted, and taken back: the settled text is another write.
    terminal.type('What is a peer?\r')
    expect(await terminal.until(prompt)).toMatch(new RegExp(`${esc}7${esc}\\[2m[^${esc}]+`))
    terminal.type('/receipt\r')
    const receipt = await terminal.until(prompt)
    expect(receipt).toContain('All of it holds.')
    expect(receipt).toContain('The text is the one that the receipt is about.')
    expect(receipt).toMatch(/Tokens.*13 \+ 37/)
    expect(receipt).toMatch(/Cost.*nothing was charged/)
    terminal.type(`${esc}[200~Repeat after me:\rgreen${esc}[201~\r`)
    await terminal.until(`${esc}[0J. `)
    await terminal.until(prompt)
    terminal.type('Tell me a long story.\r')
    await terminal.until('Once')
    terminal.type('\u0003')
    await terminal.until('(stopped; Ctrl-C again leaves)')
    await terminal.until(prompt)
    terminal.type(`/save ${join(folder.path, 'chat.json')}\r`)
    await terminal.until('Written to')
    const { messages } = JSON.parse(readFileSync(join(folder.path, 'chat.json'), 'utf8'))
    expect(messages.map(({ content, cut }: Saved) => [cut ?? false, content])).toEqual([
      [false, 'What is a peer?'],
      [false, answer],
      [false, 'Repeat after me:\ngreen'],
      [false, expect.any(String)],
      [false, 'Tell me a long story.'],
      [true, expect.stringMatching(/^Once/)],
    ])
    await terminal.until(prompt)
    terminal.type('\u0003')
    await terminal.until('(Ctrl-C again, Ctrl-D or /bye leaves)')
    terminal.type('\u0003')
    expect(await terminal.ended).toBe(0)
    expect(terminal.text).toContain(`${esc}[?2004l`)
    expect(statSync(join(folder.path, 'chat-history')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(folder.path, 'chat-history'), 'utf8')).toMatch(
      /^What is a peer\?\n\/receipt\nTell me a long story\.\n\/save .*\n$/,
    )
  })

  interface Saved {
    content: string
    cut?: boolean
  }

  it('goes on with a peer that was killed and started anew', async () => {
    const terminal = open('--no-history')
    await terminal.until(prompt)
    terminal.type('What is a peer?\r')
    await terminal.until(prompt)
    await peer.kill()
    terminal.type('What is a peer?\r')
    await terminal.until('Waiting for the peer; Ctrl-C stops that.')
    peer = await startPeer({ dataDir: folder.path })
    await terminal.until('(the peer is back)')
    await terminal.until(prompt)
    terminal.type('\u0004')
    expect(await terminal.ended).toBe(0)
  })
})
