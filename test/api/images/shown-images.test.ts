import { describe, expect, it, onTestFinished } from 'vitest'
import { ImageUrlError } from '../../../src/api/images/image-fetcher.ts'
import { imageLimits } from '../../../src/wire/images.ts'
import type { ChatWork } from '../../../src/wire/job.ts'
import { startTestApi } from '../openai-server.ts'
import { dataUrl, files } from './files.ts'

const path = '/v1/chat/completions'
const shown = (url: unknown, more: object = {}) => ({
  type: 'image_url',
  image_url: { url, ...more },
})

const huge = Buffer.from(files['image/png'])
huge.writeUInt32BE(60_000, 16)
huge.writeUInt32BE(60_000, 20)

async function start(remote: Readonly<Record<string, Buffer | Error>> = {}) {
  const fetched: string[] = []
  const images = {
    fetch: async (url: string) => {
      fetched.push(url)
      const found = remote[url]
      if (found === undefined || found instanceof Error) throw found
      return found
    },
  }
  const api = await startTestApi({ images })
  onTestFinished(() => api.stop())
  const ask = (content: unknown, more: object = {}) =>
    api.post(path, { model: 'test-chat', messages: [{ role: 'user', content, ...more }] })
  const refusal = async (content: unknown, more?: object) => {
    const response = await ask(content, more)
    const { error } = (await response.json()) as { error: { param: string; code: string } }
    return [response.status, error.code, error.param]
  }
  return { api, ask, refusal, fetched }
}

describe('images of a request', () => {
  it('come to the model as files, with what is said between them', async () => {
    const { api, ask } = await start({ 'https://a.example/x': files['image/jpeg'] })
    const content = [
      { type: 'text', text: 'This' },
      // What it is said to be does not count.
      shown(dataUrl(files['image/webp'], 'image/png'), { detail: 'high' }),
      { type: 'text', text: 'or this?' },
      shown('https://a.example/x', { detail: 'auto' }),
      shown(dataUrl(files['image/gif'])),
      shown(dataUrl(files['image/png'])),
    ]
    expect((await ask(content)).status).toBe(200)
    const base64 = (type: keyof typeof files) => files[type].toString('base64')
    const work = api.engine.jobs[0]?.work as ChatWork
    expect(work.messages).toEqual([
      {
        role: 'user',
        content: '',
        parts: [
          { text: 'This' },
          { image: { type: 'image/webp', data: base64('image/webp'), detail: 'high' } },
          { text: 'or this?' },
          { image: { type: 'image/jpeg', data: base64('image/jpeg') } },
          { image: { type: 'image/gif', data: base64('image/gif') } },
          { image: { type: 'image/png', data: base64('image/png') } },
        ],
      },
    ])
  })

  it.each<[what: string, part: object]>([
    ['a page', shown(dataUrl(Buffer.from('<html>')))],
    ['a film', shown(dataUrl(Buffer.from('\0\0\0\x18ftypmp42'), 'image/png'))],
    ['an image that draws', shown(dataUrl(Buffer.from('<svg xmlns="…"/>'), 'image/svg+xml'))],
    ['nothing', shown('data:image/png;base64,')],
    ['no base64', shown('data:image/png;base64,iVBORw0K*')],
    ['another encoding', shown('data:image/png,%89PNG')],
    ['no comma', shown(`data:image/png;base64${'x'.repeat(1_000)}`)],
    ['an image of billions of pixels', shown(dataUrl(huge))],
    ['an image that ends before its size', shown(dataUrl(files['image/png'].subarray(0, 20)))],
    ['what is not there', shown('https://a.example/gone')],
    ['what is no image there', shown('https://a.example/page')],
  ])('are refused: %s', async (_what, part) => {
    const { refusal } = await start({
      'https://a.example/gone': new ImageUrlError('is answered with status 404'),
      'https://a.example/page': Buffer.from('<html>'),
    })
    const param = 'messages[0].content[1].image_url.url'
    const text = { type: 'text', text: 'Look' }
    expect(await refusal([text, part])).toEqual([400, 'invalid_value', param])
  })

  it('are refused where they have no place, or are too many', async () => {
    const { refusal, fetched } = await start()
    const png = shown(dataUrl(files['image/png']))
    const at = 'messages[0].content[0].image_url'
    expect(await refusal([png], { role: 'system' })).toEqual([400, 'invalid_value', at])
    expect(await refusal([{ ...png, type: 'text', text: 'a' }])).toEqual([400, 'invalid_value', at])
    const both = [400, 'invalid_value', 'messages[0].content[0].text']
    expect(await refusal([{ ...png, text: 'Look' }])).toEqual(both)
    expect(await refusal([{ type: 'image_url' }])).toEqual([400, 'missing_required_parameter', at])
    const { imagesMax } = imageLimits
    const many = Array.from({ length: imagesMax + 1 }, () => shown('https://a.example/x'))
    const last = `messages[0].content[${imagesMax}].image_url.url`
    expect(await refusal(many)).toEqual([400, 'invalid_value', last])
    expect(fetched).toEqual([])
    const large = shown(dataUrl(Buffer.concat([files['image/png'], Buffer.alloc(7.4e6)])))
    expect((await refusal([large, large])).slice(0, 2)).toEqual([400, 'invalid_value'])
  })

  it('are not fetched for a request that is refused for something else', async () => {
    const { api, fetched } = await start({ 'https://a.example/x': files['image/png'] })
    const messages = [{ role: 'user', content: [shown('https://a.example/x')] }]
    const tools = [{ type: 'function', function: { name: 'a b' } }]
    const response = await api.post(path, { model: 'test-chat', messages, tools })
    expect(await response.json()).toMatchObject({ error: { param: 'tools[0].function.name' } })
    expect(fetched).toEqual([])
  })

  it('are not waited for once one of them is refused', async () => {
    const given: AbortSignal[] = []
    const images = {
      fetch: async (url: string, signal: AbortSignal) => {
        if (url.endsWith('gone')) throw new ImageUrlError('is answered with status 404')
        given.push(signal)
        return await new Promise<Buffer>((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      },
    }
    const api = await startTestApi({ images })
    onTestFinished(() => api.stop())
    const content = ['slow', 'gone', 'slow'].map((name) => shown(`https://a.example/${name}`))
    const messages = [{ role: 'user', content }]
    const response = await api.post(path, { model: 'test-chat', messages })
    expect(await response.json()).toMatchObject({
      error: { param: 'messages[0].content[1].image_url.url' },
    })
    expect(given.map(({ aborted }) => aborted)).toEqual([true, true])
  })

  it('are not fetched for a model that does not see', async () => {
    const { api, fetched } = await start({ 'https://a.example/x': files['image/png'] })
    const [seer] = api.market.models()
    if (seer === undefined) throw new Error('no model')
    api.market.remote.push({
      ...{ ...seer, local: undefined, name: 'blind' },
      capabilities: ['chat', 'tools'],
    })
    const response = await api.post(path, {
      model: 'blind',
      messages: [{ role: 'user', content: [shown('https://a.example/x')] }],
    })
    expect(await response.json()).toMatchObject({
      error: { code: 'unsupported_parameter', param: 'messages' },
    })
    expect(fetched).toEqual([])
  })
})
