import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ImageFetcher, type ImageFetcherOptions } from '../../../src/api/images/image-fetcher.ts'
import { systemClock } from '../../../src/base/clock.ts'
import type { Address } from '../../../src/base/public-url.ts'
import { certPem, keyPem } from './certificate.ts'
import { files } from './files.ts'

const png = files['image/png']
let serve: (request: IncomingMessage, response: ServerResponse) => void
let asked: string[] = []
let dialled: string[] = []
const server = https.createServer({ cert: certPem, key: keyPem }, (request, response) => {
  asked.push(request.url ?? '')
  serve(request, response)
})
let port = 0

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** The public internet, as far as this test has one: its only address is this machine's. */
const PUBLIC: Address = { address: '93.184.215.14', family: 4 }
const names: Record<string, Address[]> = {
  'images.example': [PUBLIC],
  'inside.example': [PUBLIC, { address: '10.0.0.7', family: 4 }],
  'metadata.example': [{ address: '169.254.169.254', family: 4 }],
  'other.example': [PUBLIC],
}

function fetcher(options: Partial<ImageFetcherOptions> = {}) {
  asked = []
  dialled = []
  const made = new ImageFetcher(
    {
      clock: systemClock,
      ca: certPem,
      resolve: async (name) => {
        const found = names[name]
        if (found === undefined) throw new Error('no such name')
        return found
      },
      dial: ({ address }) => {
        dialled.push(address)
        return { address: '127.0.0.1', family: 4 }
      },
    },
    { ports: [port], timeoutMs: 5_000, ...options },
  )
  const never = new AbortController().signal
  return (url: string, signal = never, account = 'alice') =>
    made.fetch(url.replace(':PORT', `:${port}`), signal, account)
}

const at = (path: string) => `https://images.example:PORT${path}`
const sends = (to: string) => (_: unknown, response: ServerResponse) => {
  response.writeHead(302, { location: to.replace(':PORT', `:${port}`) }).end()
}

describe('an image at a URL', () => {
  it('is fetched from the address that was checked', async () => {
    serve = (_, response) => response.end(png)
    expect(await fetcher()(at('/a.png?x=1'))).toEqual(png)
    expect([asked, dialled]).toEqual([['/a.png?x=1'], [PUBLIC.address]])
  })

  it('is fetched from where it is said to be, which is checked as well', async () => {
    serve = (request, response) => {
      if (request.url === '/b') response.end(png)
      else response.writeHead(301, { location: '/b' }).end()
    }
    expect(await fetcher()(at('/a'))).toEqual(png)
    expect([asked, dialled.length]).toEqual([['/a', '/b'], 2])
  })

  it.each([
    ['of this machine', 'https://127.0.0.1:PORT/', /not on the public internet/],
    ['of this machine, spelled otherwise', 'https://2130706433:PORT/', /not on the public/],
    ['of this machine, in IPv6', 'https://[::1]:PORT/', /not on the public internet/],
    ['of this machine, by its name', 'https://localhost:PORT/', /private network/],
    ['of a cloud’s metadata', 'https://169.254.169.254:PORT/', /not on the public internet/],
    ['of a name that leads there', 'https://metadata.example:PORT/', /not on the public/],
    ['of a name that leads inside, too', 'https://inside.example:PORT/', /not on the public/],
    ['without TLS', 'http://images.example:PORT/', /must begin with https/],
    ['of another port', 'https://images.example:22/', /must lead to port/],
    ['with a password', 'https://a:b@images.example:PORT/', /user or a password/],
    ['of a file', 'file:///etc/passwd', /not a URL/],
    ['of a name that nobody has', 'https://nobody.example:PORT/', /cannot be fetched/],
    ['of another’s certificate', 'https://other.example:PORT/', /cannot be fetched/],
  ])('is not fetched, nor gone to from another: %s', async (_what, url, why) => {
    serve = sends(url)
    const fetch = fetcher()
    await expect(fetch(url)).rejects.toThrow(why)
    expect(asked).toEqual([])
    await expect(fetch(at('/'))).rejects.toThrow(why)
    expect(asked).toEqual(['/'])
    expect(dialled.filter((address) => address !== PUBLIC.address)).toEqual([])
  })

  it.each<[what: string, serve: typeof serve, why: RegExp]>([
    ['is not there', (_, response) => response.writeHead(404).end('no'), /status 404/],
    ['is nothing new', (_, response) => response.writeHead(304).end(), /status 304/],
    ['is always elsewhere', (_, response) => sends(at('/'))(_, response), /from one address to/],
    [
      'says that it is too long',
      (_, response) => response.writeHead(200, { 'content-length': 1e9 }).write('x'),
      /more than 1000 bytes/,
    ],
    [
      'never ends',
      (_, response) => {
        const more = () => response.write(Buffer.alloc(400), () => setImmediate(more))
        more()
      },
      /more than 1000 bytes/,
    ],
    [
      'drips',
      (_, response) => {
        response.write('x')
        const timer = setInterval(() => response.write('x'), 20)
        response.once('close', () => clearInterval(timer))
      },
      /within 0\.3 s/,
    ],
    ['never begins', () => {}, /within 0\.3 s/],
    [
      'is shorter than it says',
      (_, response) => {
        response.writeHead(200, { 'content-length': 500 })
        response.write('x', () => response.destroy())
      },
      /cannot be fetched|broke off/,
    ],
    [
      'has a head without an end',
      (_, response) => response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end(),
      /cannot be fetched/,
    ],
  ])('is refused when it %s', async (_what, serves, why) => {
    serve = serves
    await expect(fetcher({ bytesMax: 1_000, timeoutMs: 300 })(at('/'))).rejects.toThrow(why)
  })

  it('is one of few at once, and given up with its client', async () => {
    serve = () => {}
    const fetch = fetcher({ atOnceMax: 1 })
    const leaving = new AbortController()
    const first = fetch(at('/'), leaving.signal)
    await expect(fetch(at('/'))).rejects.toMatchObject({ code: 'overloaded' })
    leaving.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    serve = (_, response) => response.end(png)
    expect(await fetch(at('/'))).toEqual(png)
  })

  it('is one of fewer for each account', async () => {
    serve = ({ url }, response) => url === '/' && response.end(png)
    const fetch = fetcher({ atOnceMax: 3, ofOneMax: 2 })
    const leaving = new AbortController()
    const slow = [1, 2].map(() => fetch(at('/slow'), leaving.signal))
    await expect(fetch(at('/'))).rejects.toMatchObject({ code: 'overloaded' })
    expect(await fetch(at('/'), undefined, 'bob')).toEqual(png)
    leaving.abort(new Error('gone'))
    for (const each of slow) await expect(each).rejects.toThrow('gone')
    expect(await fetch(at('/'))).toEqual(png)
  })
})
