import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { startHost, stopHosts } from '../network/hosts.ts'
import { diagnose } from './stage.ts'

afterEach(stopHosts)

/** A process of its own that listens on a free port of this machine. */
async function squatter(): Promise<{ child: ChildProcess; port: number }> {
  const script =
    "const s = require('net').createServer().listen(0, '127.0.0.1', () => console.log(s.address().port))"
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const [line] = (await once(child.stdout as Readable, 'data')) as [Buffer]
  return { child, port: Number(line.toString()) }
}

const join = (bootstrap: string, network = 'test') =>
  diagnose('network', { flags: { network, bootstrap: [bootstrap] } })

const stranger = '12D3KooWGRUxDf5ZDVbRxUzJL3oGfLLvdNBnsrSzqBEaEVGZRzJV'

describe('a port in use', () => {
  it('is found, with the program that listens there', async () => {
    const { child, port } = await squatter()
    const [found, ...more] = await diagnose('ports', {
      flags: { listen: [`/ip4/127.0.0.1/tcp/${port}`] },
    })
    expect(more).toEqual([])
    expect(found).toMatchObject({ verdict: 'fail', code: 'port_in_use' })
    expect(found?.cause).toContain(`Port ${port} is in use`)
    if (process.platform === 'linux') expect(found?.cause).toContain(`(process ${child.pid})`)
    expect(found?.next).toMatch(/Stop that program, or choose another port with --listen/)
  })

  it('of the HTTP endpoint is told of with its own option', async () => {
    const { port } = await squatter()
    const [found] = await diagnose('ports', { flags: { http: `127.0.0.1:${port}` } })
    expect(found).toMatchObject({ verdict: 'fail', code: 'port_in_use' })
    expect(found?.next).toContain('--http 127.0.0.1:0')
  })

  it('is none of ours when it is free', async () => {
    expect(await diagnose('ports')).toMatchObject([{ verdict: 'ok' }])
  })

  it('and an address that this machine lacks are different things', async () => {
    const [found] = await diagnose('ports', { flags: { listen: ['/ip4/203.0.113.9/tcp/0'] } })
    expect(found).toMatchObject({ verdict: 'fail', code: 'address_not_here' })
  })
})

describe('a bootstrap peer', () => {
  it('that runs is reached', async () => {
    const host = await startHost()
    expect(await join(host.status().addrs[0] ?? '')).toMatchObject([
      { verdict: 'ok', cause: '1 bootstrap peer of 1 answered.' },
    ])
  })

  it('that was stopped is found refused', async () => {
    const host = await startHost()
    const [address = ''] = host.status().addrs
    await host.stop()
    const [found] = await join(address)
    expect(found).toMatchObject({ verdict: 'fail', code: 'bootstrap_connection_refused' })
    expect(found?.cause).toContain(address)
    expect(found?.next).toMatch(/whether it is up/)
  })

  it('of another network is told apart', async () => {
    const host = await startHost({ network: 'other' })
    const [found] = await join(host.status().addrs[0] ?? '')
    expect(found).toMatchObject({ verdict: 'fail', code: 'bootstrap_other_network' })
    expect(found?.next).toMatch(/--network/)
  })

  it('under another key is named', async () => {
    const host = await startHost()
    const { addrs, peerId } = host.status()
    const [found] = await join((addrs[0] ?? '').replace(peerId, stranger))
    expect(found).toMatchObject({ verdict: 'fail', code: 'bootstrap_other_peer' })
    expect(found?.cause).toContain(peerId)
    expect(found?.next).toContain(`/p2p/${peerId}`)
  })

  it('that is no peer at all is found out', async () => {
    const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const [found] = await join(`/ip4/127.0.0.1/tcp/${port}/p2p/${stranger}`)
    expect(found).toMatchObject({ verdict: 'fail', code: 'bootstrap_no_peer' })
    expect(found?.next).toMatch(/port/)
  })

  it('with a name that nobody knows is found out', async () => {
    // Longer than a label may be: no name server need be asked.
    const name = `${'no-such-peer'.repeat(6)}.invalid`
    const [found] = await join(`/dns4/${name}/tcp/7463/p2p/${stranger}`)
    expect(found).toMatchObject({ verdict: 'fail', code: 'bootstrap_name_unknown' })
    expect(found?.cause).toContain(`The name ${name} is not found`)
    expect(found?.next).toMatch(/name server/)
  })

  it('that is missing beside one that answers is no more than a warning', async () => {
    const host = await startHost()
    const gone = await startHost()
    const bootstrap = [host, gone].flatMap((each) => each.status().addrs)
    await gone.stop()
    const found = await diagnose('network', { flags: { network: 'test', bootstrap } })
    expect(found).toMatchObject([{ verdict: 'warn', code: 'bootstrap_connection_refused' }])
  })
})
