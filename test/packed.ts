import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ask, startPeer } from './e2e/peer-process.ts'

// CI: the packed package, installed into the folder that is named, answers a question.

const folder = process.argv[2]
if (folder === undefined) throw new Error('name the folder with the installed package')
const dataDir = join(folder, 'data')
const peer = await startPeer({
  dataDir,
  programPath: join(folder, 'node_modules/pinaivu-peer/dist/bin/pinaivu-peer.js'),
})
const answer = await ask(peer.ready, '/v1/chat/completions', {
  model: 'pinaivu-demo',
  temperature: 0,
  messages: [{ role: 'user', content: 'Hello' }],
})
const text = await answer.text()
const code = await peer.stop()
rmSync(dataDir, { recursive: true, force: true })
if (!answer.ok) throw new Error(`${answer.status}: ${text}`)
if (code !== 0) throw new Error(`the peer ended with code ${code}:\n${peer.log()}`)
const content = JSON.parse(text).choices[0].message.content as string
if (content.trim() === '') throw new Error('an empty answer')
process.stdout.write(`the packed peer says: ${content}\n`)
