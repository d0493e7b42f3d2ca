import { describe, expect, it } from 'vitest'
import { png } from '../accounts/files/media-files.ts'
import { ANSWER_TEXT } from '../api/scripted-engine.ts'
import { chromium, withPage } from './browser.ts'
import { serveScript } from './page-server.ts'
import { startWholePeer } from './whole-peer.ts'

const title = 'the client in a browser'

/** From another origin than the peer's: each of these is let through by it, or refused. */
const script = `
  const { apiKey, baseURL } = given
  const pinaivu = new sdk.Pinaivu({ apiKey, baseURL })
  const ask = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }] }
  const { data, response } = await pinaivu.chat.completions.create(ask).withResponse()
  let streamed = ''
  for await (const { choices } of await pinaivu.chat.completions.create({ ...ask, stream: true })) {
    streamed += choices[0]?.delta.content ?? ''
  }
  let committed = ''
  const watch = { ...ask, stream: true, stream_mode: 'v8' }
  for await (const view of await pinaivu.chat.completions.create(watch)) committed = view.committed
  const file = new Blob([Uint8Array.from(atob(given.picture), (each) => each.charCodeAt(0))])
  const made = await pinaivu.files.create({ file: file.stream(), kind: 'image' })
  const content = await (await pinaivu.files.download(made.url)).bytes()
  const listed = []
  for await (const { id } of pinaivu.files.list({ limit: 1 })) listed.push(id)
  const report = await new sdk.Pinaivu({ baseURL }).receipts.verify(data.receipt.cid, {
    answer: data.choices[0].message.content,
  })
  const refused = await new sdk.Pinaivu({ apiKey: 'sk-pnv-no', baseURL }).keys.me().catch((error) => ({
    isOurs: error instanceof sdk.PinaivuError,
    status: error.status,
    requestId: error.requestId,
  }))
  return {
    text: data.choices[0].message.content,
    receipt: response.headers.get('x-pinaivu-receipt-cid') === data.receipt.cid,
    streamed,
    committed,
    bytes: content.length,
    listed: listed.includes(made.id),
    holds: report.holds,
    refused,
  }
`

describe.skipIf(!chromium)(chromium ? title : `${title}: not run without Chromium`, () => {
  it('asks a peer of another origin for all kinds of things', async () => {
    const { peer } = await startWholePeer()
    const { apiKey, http: baseURL } = peer.ready()
    const bytes = png(1, 1_000)
    const picture = Buffer.from(bytes).toString('base64')
    const page = await serveScript<object>(script, { apiKey, baseURL, picture })
    try {
      expect(await withPage(page.url, page.said)).toEqual({
        ...{ text: ANSWER_TEXT, streamed: ANSWER_TEXT, committed: ANSWER_TEXT },
        ...{ receipt: true, holds: true, listed: true, bytes: bytes.length },
        refused: { isOurs: true, status: 401, requestId: expect.stringMatching(/^req_/) },
      })
    } finally {
      await page.stop()
    }
  }, 60_000)
})
