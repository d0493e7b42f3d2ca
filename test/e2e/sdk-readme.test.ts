import { execFile } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signatures } from '../../src/accounts/webhooks/signature.ts'
import { png } from '../accounts/files/media-files.ts'
import { type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// The README of the SDK is true because its examples run here, on another port.

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(join(here, '../../src/sdk/README.md'), 'utf8')
const blocks = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => text ?? '')

const secret = `whsec_${Buffer.from('a secret').toString('base64')}`

/** Gives the receiver of webhooks what the peer would. */
const deliver = `
const { body, headers } = JSON.parse(process.env.DELIVERY)
const request = new Request('http://here/', { method: 'POST', body, headers })
console.log((await receive(request)).status)
`

function delivery(): string {
  const body = JSON.stringify({ id: 'evt_1', type: 'webhook.test', data: { object: {} } })
  const timestamp = Math.floor(Date.now() / 1000)
  const headers = {
    ...{ 'webhook-id': 'evt_1', 'webhook-timestamp': `${timestamp}` },
    'webhook-signature': signatures({ id: 'evt_1', timestamp, body }, [secret]),
  }
  return JSON.stringify({ body, headers })
}

describe('the README of the SDK', () => {
  const home = temporaryFolder()
  let peer: PeerProcess

  beforeAll(async () => {
    writeFileSync(join(home.path, 'picture.png'), png(1, 1_000))
    peer = await startPeer()
  })
  afterAll(async () => {
    await peer.stop()
    home.remove()
  })

  /** As a program beside the package, with the peer in the place of the one on the usual port. */
  async function outputOf(block: string): Promise<string> {
    const at = peer.ready.http
    const text = block
      .replaceAll('http://127.0.0.1:7462', at)
      .replaceAll('new Pinaivu({ apiKey', `new Pinaivu({ baseURL: '${at}', apiKey`)
    const script = join(here, '.sdk-readme-example.mjs')
    writeFileSync(script, block.includes('receive(') ? text + deliver : text)
    try {
      const env = {
        ...{ PATH: process.env.PATH ?? '', PEER_KEY: peer.ready.apiKey },
        ...{ WEBHOOK_SECRET: secret, DELIVERY: delivery() },
      }
      return (await run(process.execPath, [script], { cwd: home.path, env })).stdout
    } finally {
      rmSync(script)
    }
  }

  it('has examples that say what they are to say', async () => {
    const says = [
      /\w{3}/,
      /seven.*\[2m/s,
      /sess_\w+ My name is Ada/,
      /^true 12D3Koo\w+ \[[\s\S]*pinaivu-demo \{/,
      /^image\/png 1\d\d\d http/,
      /available_credits: 1000000[\s\S]*pinaivu-demo/,
      /^webhook\.test \{\}\n204/,
      /^404 model_not_found model req_\w+ /,
    ]
    expect(blocks).toHaveLength(says.length)
    for (const [at, block] of blocks.entries())
      expect(await outputOf(block)).toMatch(says[at] ?? '')
  })
})
