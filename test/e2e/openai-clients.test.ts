import { afterAll, beforeAll, describe } from 'vitest'
import { openaiClientSuite } from '../api/openai-client-suite.ts'
import { type PeerProcess, startPeer } from './peer-process.ts'

describe("OpenAI's clients against a real peer", () => {
  let peer: PeerProcess
  beforeAll(async () => {
    peer = await startPeer()
  })
  afterAll(async () => {
    await peer.stop()
  })
  openaiClientSuite(() => ({
    baseURL: `${peer.ready.http}/v1`,
    apiKey: peer.ready.apiKey,
    chatModel: 'pinaivu-demo',
    embedModel: 'pinaivu-demo-embed',
  }))
})
