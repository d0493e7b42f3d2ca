import { describe, expect, it } from 'vitest'
import { Poster } from '../../../src/accounts/webhooks/post.ts'
import { systemClock } from '../../../src/base/clock.ts'
import type { Address } from '../../../src/base/public-url.ts'
import { certPem, keyPem } from '../../api/certificate.ts'
import { startReceiver, status } from './receiver.ts'

// Field notes, cases 44 to 47. Behind every trick stands a real server of this machine, on a port
// that is allowed: were the trick to work, somebody would knock there.

const signal = new AbortController().signal
const request = { headers: {}, body: '{}' }

const address = (text: string): Address => ({ address: text, family: text.includes(':') ? 6 : 4 })

async function setUp(names: Record<string, string[] | string[][]> = {}) {
  const receiver = await startReceiver(undefined, { cert: certPem, key: keyPem })
  const asked: string[] = []
  const resolve = async (name: string) => {
    const answers = names[name] ?? []
    const turn = asked.filter((each) => each === name).length
    asked.push(name)
    const now = Array.isArray(answers[turn]) ? answers[turn] : answers
    const found = (now as string[]).map(address)
    if (found.length === 0) throw new Error('ENOTFOUND')
    return found
  }
  const ports = [443, 8443, receiver.port]
  const open = (options: object = {}) =>
    new Poster({ clock: systemClock, resolve, ca: certPem }, { ports, ...options })
  const here = (url: string) => url.replace('PORT', `${receiver.port}`)
  return { receiver, asked, open, here }
}

const rejected = { code: 'webhook_url_rejected', param: 'url' }

/** No name server is needed to see through these. */
const spelled: [trick: string, url: string][] = [
  ['plain HTTP', 'http://127.0.0.1:PORT/'],
  ['another protocol', 'ftp://127.0.0.1:PORT/'],
  ['a file', 'file:///etc/passwd'],
  ['gopher', 'gopher://127.0.0.1:PORT/_POST'],
  ['a data URL', 'data:text/plain,x'],
  ['no protocol', '//127.0.0.1:PORT/'],
  ['no slashes', 'https:127.0.0.1:PORT/'],
  ['one slash', 'https:/127.0.0.1:PORT/'],
  ['three slashes', 'https:///127.0.0.1:PORT/'],
  ['backslashes', 'https:\\\\127.0.0.1:PORT\\'],
  ['a backslash before the real host', 'https://example.com\\@127.0.0.1:PORT/'],
  ['loopback', 'https://127.0.0.1:PORT/'],
  ['another loopback address', 'https://127.8.8.8:PORT/'],
  ['one number', 'https://2130706433:PORT/'],
  ['hex', 'https://0x7f000001:PORT/'],
  ['hex in parts', 'https://0x7f.0.0.0x1:PORT/'],
  ['octal', 'https://0177.0.0.01:PORT/'],
  ['octal as one number', 'https://017700000001:PORT/'],
  ['two parts', 'https://127.1:PORT/'],
  ['a dot at the end', 'https://127.0.0.1.:PORT/'],
  ['full-width digits', 'https://１２７.０.０.１:PORT/'],
  ['circled digits', 'https://①②⑦.⓪.⓪.①:PORT/'],
  ['an ideographic full stop', 'https://127。0。0。1:PORT/'],
  ['percent signs', 'https://%31%32%37.0.0.1:PORT/'],
  ['zero', 'https://0:PORT/'],
  ['0.0.0.0', 'https://0.0.0.0:PORT/'],
  ['IPv6 loopback', 'https://[::1]:PORT/'],
  ['IPv6 unspecified', 'https://[::]:PORT/'],
  ['IPv4 in IPv6', 'https://[::ffff:127.0.0.1]:PORT/'],
  ['the same in hex', 'https://[::ffff:7f00:1]:PORT/'],
  ['IPv4-compatible', 'https://[::127.0.0.1]:PORT/'],
  ['NAT64', 'https://[64:ff9b::7f00:1]:PORT/'],
  ['6to4', 'https://[2002:7f00:1::]:PORT/'],
  ['Teredo', 'https://[2001:0:7f00:1::]:PORT/'],
  ['link-local', 'https://[fe80::1]:PORT/'],
  ['unique local', 'https://[fd00:ec2::254]:PORT/'],
  ['a private network', 'https://10.0.0.1:PORT/'],
  ['another', 'https://172.16.0.1:PORT/'],
  ['a third', 'https://192.168.0.1:PORT/'],
  ['cloud metadata', 'https://169.254.169.254/latest/meta-data/'],
  ['cloud metadata, as one number', 'https://2852039166/latest/meta-data/'],
  ['metadata behind carrier NAT', 'https://100.100.100.200/'],
  ['Azure', 'https://168.63.129.16/'],
  ['multicast', 'https://224.0.0.1:PORT/'],
  ['broadcast', 'https://255.255.255.255:PORT/'],
  ['documentation', 'https://203.0.113.7:PORT/'],
  ['localhost', 'https://localhost:PORT/'],
  ['localhost with too many dots at the end', 'https://localhost..:PORT/'],
  ['LOCALHOST.', 'https://LOCALHOST.:PORT/'],
  ['a name under localhost', 'https://hook.localhost:PORT/'],
  ['ℒocalhost', 'https://ℒocalhost:PORT/'],
  ['localhost in percent signs', 'https://%6c%6fcalhost:PORT/'],
  ['a name without dots', 'https://intranet:PORT/'],
  ['a name of the local link', 'https://printer.local:PORT/'],
  ['metadata by name', 'https://metadata.google.internal/'],
  ['a user', 'https://user@example.com:PORT/'],
  ['a user and a password', 'https://user:secret@127.0.0.1:PORT/'],
  ['an empty user', 'https://@example.com:PORT/'],
  ['a host that is a user', 'https://example.com@127.0.0.1:PORT/'],
  ['a fragment', 'https://example.com:PORT/#@127.0.0.1'],
  ['an empty fragment', 'https://example.com:PORT/#'],
  ['another port', 'https://example.com:22/'],
  ['port 80', 'https://example.com:80/'],
  ['port 0', 'https://example.com:0/'],
  ['a tab in the name', 'https://exam\tple.com:PORT/'],
  ['a line break', 'https://example.com:PORT/\r\nHost: internal'],
  ['a space before', ' https://example.com:PORT/'],
  ['a zero byte', 'https://example.com\0.evil:PORT/'],
  ['a soft hyphen', 'https://local\u00adhost:PORT/'],
  ['too long', `https://example.com:PORT/${'x'.repeat(2048)}`],
  ['nothing', ''],
]

describe('a URL that leads inside', () => {
  it.each(spelled)('is refused: %s', async (_trick, url) => {
    const { receiver, asked, open, here } = await setUp()
    const poster = open()
    await expect(poster.check(here(url), signal)).rejects.toMatchObject(rejected)
    expect(await poster.post({ ...request, url: here(url) }, signal)).toMatchObject({
      fault: 'url_rejected',
    })
    expect([receiver.connections(), asked]).toEqual([0, []])
  })

  const inside = [
    '127.0.0.1',
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '192.168.1.1',
    '224.0.0.251',
    '255.255.255.255',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '64:ff9b::7f00:1',
    '2002:7f00:1::1',
    '2001:0:7f00:1::1',
    'fd00::1',
    'fe80::1',
  ]
  it.each(inside)('is refused: a name for %s, as of nip.io', async (target) => {
    const { receiver, open, here } = await setUp({ 'x.nip.io': [target] })
    const url = here('https://x.nip.io:PORT/')
    await expect(open().check(url, signal)).rejects.toMatchObject(rejected)
    expect(await open().post({ ...request, url }, signal)).toMatchObject({ fault: 'url_rejected' })
    expect(receiver.connections()).toBe(0)
  })

  it.each([0, 1, 2, 3])('is refused: one private address among public ones, at %i', async (at) => {
    const answers = ['93.184.215.14', '2606:4700::1111', '1.1.1.1']
    answers.splice(at, 0, '127.0.0.1')
    const { receiver, open, here } = await setUp({ 'a.example.com': answers })
    const url = here('https://a.example.com:PORT/')
    await expect(open().check(url, signal)).rejects.toMatchObject(rejected)
    expect(await open().post({ ...request, url }, signal)).toMatchObject({ fault: 'url_rejected' })
    expect(receiver.connections()).toBe(0)
  })

  it('is refused: a name that was public when it was given, and is not when something is sent', async () => {
    const { receiver, open, here } = await setUp({
      'rebind.example.com': [['93.184.215.14'], ['127.0.0.1']],
    })
    const url = here('https://rebind.example.com:PORT/')
    await open().check(url, signal)
    expect(await open().post({ ...request, url }, signal)).toMatchObject({ fault: 'url_rejected' })
    expect(receiver.connections()).toBe(0)
  })

  it.each([301, 302, 303, 307, 308])('is not followed: a redirect, %i', async (code) => {
    const metadata = await startReceiver()
    const { receiver, open, here } = await setUp()
    const location = `http://127.0.0.1:${metadata.port}/latest/meta-data/`
    receiver.answer = status(code, { location })
    const url = here('https://127.0.0.1:PORT/')
    const posted = await open({ allowPrivate: true }).post({ ...request, url }, signal)
    expect(posted).toMatchObject({ status: code })
    expect([receiver.got.length, metadata.connections()]).toEqual([1, 0])
  })
})

describe('a URL of the internet', () => {
  it.each([
    'https://example.com/',
    'https://example.com',
    'https://EXAMPLE.com:443/a/b?c=d&e=%20',
    'https://hooks.example.com:8443/x',
    'https://bücher.example/hook',
    'https://8.8.8.8/',
    'https://[2606:4700:4700::1111]/',
    'https://localhost.example.com/',
  ])('passes: %s', async (url) => {
    const { open } = await setUp({ 'example.com': ['93.184.215.14', '2606:4700::1111'] })
    await open().check(url, signal)
  })

  it('passes although its name cannot be looked up now, however long that takes', async () => {
    const { open } = await setUp()
    await open().check('https://nowhere.example.com/', signal)
    const never = new Poster(
      { clock: systemClock, resolve: () => new Promise(() => {}) },
      { checkMs: 5 },
    )
    await never.check('https://tarpit.example.com/', signal)
  })
})

describe('a connection', () => {
  it('goes to the address that was checked, with the name in TLS and Host; the name is asked for once', async () => {
    const { receiver, asked, open, here } = await setUp({ localhost: ['127.0.0.1'] })
    const url = here('https://localhost:PORT/hook?x=1')
    const posted = await open({ allowPrivate: true }).post({ ...request, url }, signal)
    expect(posted).toMatchObject({ status: 200 })
    expect(asked).toEqual(['localhost'])
    expect(receiver.got).toMatchObject([
      {
        method: 'POST',
        url: '/hook?x=1',
        servername: 'localhost',
        headers: { host: here('localhost:PORT'), connection: 'close' },
        body: '{}',
      },
    ])
  })

  it('is made to a name that the system has never heard of, when its own answer says so', async () => {
    const { open } = await setUp({ 'nowhere.invalid': ['127.0.0.1'] })
    const plain = await startReceiver()
    const url = `http://nowhere.invalid:${plain.port}/`
    const posted = await open({ allowPrivate: true }).post({ ...request, url }, signal)
    expect(posted).toMatchObject({ status: 200 })
    expect(plain.got[0]?.headers.host).toBe(`nowhere.invalid:${plain.port}`)
  })

  it('counts for nothing without a certificate for the name, from somebody who is trusted', async () => {
    const { receiver, open, here } = await setUp({
      'other.example.com': ['127.0.0.1'],
      localhost: ['127.0.0.1'],
    })
    const other = { ...request, url: here('https://other.example.com:PORT/') }
    expect(await open({ allowPrivate: true }).post(other, signal)).toMatchObject({
      fault: 'tls_failed',
    })
    const resolve = async () => [address('127.0.0.1')]
    const strict = new Poster({ clock: systemClock, resolve }, { allowPrivate: true })
    const url = here('https://localhost:PORT/')
    expect(await strict.post({ ...request, url }, signal)).toMatchObject({ fault: 'tls_failed' })
    expect(receiver.got).toEqual([])
  })
})
