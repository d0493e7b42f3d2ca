import { join } from 'node:path'
import { createContext, Script } from 'node:vm'
import { build } from 'vite'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What pages, workers, Deno and Bun have in common; nothing of Node is among it. */
const web = [
  ...['AbortController', 'AbortSignal', 'Blob', 'DOMException', 'File', 'FormData', 'Headers'],
  ...['ReadableStream', 'Response', 'TextDecoder', 'TextEncoder', 'URL', 'URLSearchParams'],
  ...['clearTimeout', 'crypto', 'fetch', 'performance', 'setTimeout'],
  // Of this realm, as what comes from outside is.
  ...['ArrayBuffer', 'Promise', 'Uint8Array'],
]

/** Minified; a heavy dependency would be far beyond it. */
const BYTES_MAX = 160 * 1024

async function bundled(): Promise<string> {
  const built = await build({
    ...{ root, configFile: false, logLevel: 'silent' },
    build: {
      ...{ write: false, target: 'es2022', minify: true },
      lib: { entry: 'src/sdk/index.ts', name: 'sdk', formats: ['iife'], fileName: 'sdk' },
    },
  })
  const [first] = Array.isArray(built) ? built : []
  const [chunk] = first?.output ?? []
  if (chunk?.type !== 'chunk') throw new Error('nothing was bundled')
  expect(chunk.imports).toEqual([])
  return chunk.code
}

describe('the SDK in one file for a page', () => {
  it('works where there is nothing of Node, and stays small', async () => {
    const code = await bundled()
    // Only what matches is shown, if anything does.
    expect(/\brequire\(|\bimport\b|browser-external|\bBuffer\./.exec(code)?.[0]).toBeUndefined()
    expect(code.length).toBeLessThan(BYTES_MAX)
    expect(code.length).toBeGreaterThan(BYTES_MAX / 4)
    const here = globalThis as unknown as Record<string, unknown>
    const asked: string[] = []
    const page = createContext({
      ...Object.fromEntries(web.map((name) => [name, here[name]])),
      fetch: async (url: string) => {
        asked.push(url)
        return new Response('data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n', {
          headers: { 'content-type': 'text/event-stream' },
        })
      },
    })
    new Script(code).runInContext(page)
    const use = `(async () => {
      const client = new sdk.Pinaivu({ apiKey: 'sk-pnv-x' })
      const stream = await client.chat.completions.create({ model: 'm', messages: [], stream: true })
      let said = ''
      for await (const chunk of stream) said += chunk.choices[0].delta.content
      return said
    })()`
    expect(await new Script(use).runInContext(page)).toBe('Hi')
    expect(asked).toEqual(['http://127.0.0.1:7462/v1/chat/completions'])
  })
})
