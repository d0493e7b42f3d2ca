import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { HttpGet } from '../../../src/engines/store/http-get.ts'
import { manifestText, readManifest } from '../../../src/engines/store/manifest.ts'
import { fakeHub, ggufLike, sha256 } from './fake-hub.ts'
import { facts, pullStage, temporaryFolder } from './pulling.ts'

const bytes = ggufLike(50_000)
const MEGABYTE = 1024 * 1024

/** A hub of which nothing is true but that it speaks HTTP. */
async function serverThat(answers: RequestListener): Promise<{ url: string }> {
  const server = createServer(answers)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const listing = (tree: unknown): RequestListener => {
  const text = JSON.stringify(tree)
  return (request, response) => {
    const isTree = request.url?.includes('/tree/') === true
    response.end(isTree ? text : JSON.stringify({ sha: 'a'.repeat(40) }))
  }
}

describe('a hub that means harm', () => {
  it('names files as it likes, and they stay in the folder of their model', async () => {
    for (const path of ['../../up-Q8_0.gguf', '/etc/abs-Q8_0.gguf', 'a/../b-Q8_0.gguf']) {
      const { pull, left } = pullStage(await fakeHub({ id: 'o/r', files: [{ path, bytes }] }))
      await expect(pull('hf:o/r:Q8_0')).rejects.toThrow(/has no GGUF files/)
      expect(left()).toEqual([])
    }
    const odd = 'x/.a\u0000b\u001b[31m;é-Q8_0.gguf'
    const { pull, left } = pullStage(await fakeHub({ id: 'o/r', files: [{ path: odd, bytes }] }))
    const { model } = await pull('hf:o/r:Q8_0')
    expect(model.name).toMatch(/^[\w.-]+$/)
    expect(left()).toEqual([
      '.pulling',
      ...['', `/${model.name}.gguf`, '/model.json'].map((end) => model.name + end),
    ])
  })

  it('lists more than anybody has, or drips its list, and is told of', async () => {
    const row = { type: 'file', path: 'm-Q8_0.gguf', size: 1 }
    const many = pullStage(await serverThat(listing(Array.from({ length: 100_000 }, () => row))))
    await expect(many.pull('hf:o/r:Q8_0')).rejects.toThrow(/more files than any model has/)
    const dripping = await serverThat((_, response) => {
      const drip = setInterval(() => response.write(' '), 10)
      response.on('close', () => clearInterval(drip))
    })
    // Long enough for drops that come late on a busy machine.
    const slow = pullStage(dripping, { silenceMs: 300 })
    await expect(slow.pull('hf:o/r:Q8_0')).rejects.toThrow(
      /too long for a short answer. Pull again/,
    )
    expect([many.left(), slow.left()]).toEqual([[], []])
  })

  const endlessServer = () => {
    const piece = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(MEGABYTE)])
    return serverThat((_, response) => {
      const more = () => {
        while (response.write(piece));
      }
      response.on('drain', more)
      more()
    })
  }

  it('sends files without an end, and the quota is not passed by, nor by two at once', async () => {
    const { url } = await endlessServer()
    const { pull, folder } = pullStage({ url }, { room: { quotaBytes: 10 * MEGABYTE } })
    const pulls = ['a', 'b'].map((name) => pull(`${url}/${name}.gguf`))
    for (const each of await Promise.allSettled(pulls)) {
      expect(each).toMatchObject({ reason: { code: 'model_quota_exceeded' } })
    }
    const received = (await folder.unfinished()).map(({ receivedBytes }) => receivedBytes)
    const sum = received.reduce((all, each) => all + each, 0)
    expect(sum).toBeGreaterThan(9 * MEGABYTE)
    expect(sum).toBeLessThanOrEqual(10 * MEGABYTE)
  })

  it('says how large files are when they come: of two at once, one has the room', async () => {
    const server = await serverThat((_, response) => response.end(ggufLike(6000)))
    const { pull, folder } = pullStage(server, { room: { quotaBytes: 10_000 } })
    const all = await Promise.allSettled(
      ['a', 'b'].map((name) => pull(`${server.url}/${name}.gguf`)),
    )
    expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await folder.list()).length).toBe(1)
  })

  it('sends nobody to what listens on this machine', async () => {
    const asked: string[] = []
    const location = 'http://127.0.0.1:9/secret'
    vi.stubGlobal('fetch', async (url: URL) => {
      asked.push(url.href)
      return new Response(null, { status: 302, headers: { location } })
    })
    onTestFinished(() => void vi.unstubAllGlobals())
    const http = new HttpGet(systemClock, { origin: 'https://hub.example', token: 'hf_x' })
    const { signal } = new AbortController()
    await expect(http.get('https://hub.example/m.gguf', { signal })).rejects.toThrow(
      /hub\.example sends on to http:\/\/127\.0\.0\.1:9, which is this machine/,
    )
    expect(asked).toEqual(['https://hub.example/m.gguf'])
  })
})

describe('two models of one name', () => {
  const repos = ['a', 'b'].map((org) => ({
    id: `${org}/r`,
    files: [{ path: 'm-Q8_0.gguf', bytes: ggufLike(50_000) }],
  }))
  const [first, second] = repos.map(({ files }) => files[0]?.bytes ?? bytes)

  it('pulled at once: one is stored and stays, the other is told, and takes another name', async () => {
    const hub = await fakeHub(...repos)
    const { pull, folder } = pullStage(hub)
    const uris = ['hf:a/r:Q8_0', 'hf:b/r:Q8_0']
    const [one, other] = await Promise.allSettled(uris.map((uri) => pull(uri)))
    expect([one?.status, other?.status].sort()).toEqual(['fulfilled', 'rejected'])
    const lost = one?.status === 'rejected' ? 0 : 1
    const [stored] = await folder.list()
    expect(sha256(readFileSync(stored?.path ?? ''))).toBe(
      sha256((lost === 0 ? second : first) ?? bytes),
    )
    await expect(pull(uris[lost] ?? '')).rejects.toMatchObject({ code: 'model_name_taken' })
    expect((await pull(uris[lost] ?? '', { name: 'another' })).model.name).toBe('another')
    expect((await folder.list()).length).toBe(2)
  })

  it('of which one was killed just before it had its place: it takes nobody else’s', async () => {
    const hub = await fakeHub(...repos)
    const { pull, folder, left } = pullStage(hub)
    const { model } = await pull('hf:a/r:Q8_0')
    const at = await folder.begin({ name: model.name, uri: 'hf:b/r:Q8_0' })
    writeFileSync(join(at, 'm-Q8_0.gguf'), second ?? bytes)
    writeFileSync(join(at, 'model.json'), manifestText({ ...model, uri: 'hf:b/r:Q8_0' }))
    await expect(pull('hf:b/r:Q8_0')).rejects.toMatchObject({ code: 'model_name_taken' })
    expect(sha256(readFileSync(model.path))).toBe(sha256(first ?? bytes))
    const fetched = hub.of('cdn').length
    await pull('hf:b/r:Q8_0', { name: 'another' })
    expect(hub.of('cdn').length).toBe(fetched)
    expect(left().filter((path) => path.startsWith('.'))).toEqual(['.pulling'])
  })
})

describe('a store in which something went wrong', () => {
  it('is listed, whichever bit of a note has turned', async () => {
    const text = Buffer.from(
      manifestText({
        ...{
          name: 'm',
          uri: 'hf:o/r',
          files: [{ name: 'm.gguf', sizeBytes: 9, sha256: sha256(bytes) }],
        },
        ...{ id: 'cid:x', pulledAt: 1_763_000_000_000, licence: { id: 'mit', link: 'x' }, facts },
      }),
    )
    for (let bit = 0; bit < text.length * 8; bit++) {
      const turned = Buffer.from(text)
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        const read = readManifest(turned.toString())
        new Date(read.pulledAt).toISOString()
        read.licence?.id.slice()
        read.facts?.quant.slice()
        if (read.facts !== undefined) expect(read.facts.parameters).toBeGreaterThanOrEqual(0)
      } catch (error) {
        expect((error as Error).name).toMatch(/^(SyntaxError|PeerError)$/)
      }
    }
    expect(() => readManifest(text.toString().replace(/1763000000000/, '9e99'))).toThrow(/damaged/)
    expect(readManifest(text.toString().replace(/"quant"/, '"quint"')).facts).toBeUndefined()
  })

  it('is listed with folders that are none of its own', async () => {
    const { folder, root } = pullStage(await fakeHub())
    mkdirSync(join(root, '100%'), { recursive: true })
    expect((await folder.list()).map(({ name, fault }) => [name, fault])).toEqual([
      ['100%', expect.stringMatching(/Remove it with "models rm 100%"/)],
    ])
  })

  it.each([['{"etag":5}'], ['{"etag":"a\\r\\nb: c"}'], ['{"sizeBytes":"x"}'], ['null'], ['[]']])(
    'pulls on beside a part whose note is damaged: %s',
    async (text) => {
      const hub = await fakeHub({ id: 'o/r', files: [{ path: 'm-Q8_0.gguf', bytes }] })
      const { pull, folder } = pullStage(hub, { silenceMs: 50 })
      hub.faults = [{ hangAfter: 9000 }, ...[1, 2, 3].map(() => ({ status: 503 }))]
      await expect(pull('hf:o/r:Q8_0')).rejects.toThrow(/further than/)
      const [{ folder: at = '' } = {}] = await folder.unfinished()
      const note = readdirSync(at).find((name) => name.endsWith('.part.json')) ?? ''
      writeFileSync(join(at, note), text)
      expect(readFileSync((await pull('hf:o/r:Q8_0')).model.path).equals(bytes)).toBe(true)
    },
  )

  it('takes a file that is called as its own notes are', async () => {
    const { pull } = pullStage(await fakeHub())
    const path = join(temporaryFolder(), 'model.json')
    writeFileSync(path, bytes)
    const { model } = await pull(path)
    expect(readFileSync(model.path).equals(bytes)).toBe(true)
  })
})
