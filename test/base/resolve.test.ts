import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type Answer, decode, encode } from 'dns-packet'
import { describe, expect, it, onTestFinished } from 'vitest'
import { askServers, resolveAny } from '../../src/base/resolve.ts'

const signal = new AbortController().signal

/** A name server on loopback; of a name that it does not know it says nothing at all. */
async function startServer(records: Record<string, { A?: string[]; AAAA?: string[] }>) {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (message, { port, address }) => {
    const { id, questions = [] } = decode(message)
    const { name = '', type = 'A' } = questions[0] ?? {}
    asked.push(`${type} ${name}`)
    const found = records[name]
    if (found === undefined) return
    const answers = (found[type as 'A' | 'AAAA'] ?? []).map((data) => ({ name, type, data }))
    const answer = { id, type: 'response', questions, answers: answers as Answer[] } as const
    socket.send(encode(answer), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  return { asked, resolve: askServers([`127.0.0.1:${socket.address().port}`]) }
}

describe('a name', () => {
  it('is asked for in both families, and all that is said counts', async () => {
    const { resolve, asked } = await startServer({
      'both.example.com': { A: ['1.1.1.1', '10.0.0.1'], AAAA: ['2606:4700::1111'] },
      'six.example.com': { AAAA: ['::1'] },
      'none.example.com': {},
    })
    const both = await resolve('both.example.com', signal)
    expect(both.map(({ address, family }) => `${address} ${family}`).sort()).toEqual([
      '1.1.1.1 4',
      '10.0.0.1 4',
      '2606:4700::1111 6',
    ])
    expect(asked.sort()).toEqual(['A both.example.com', 'AAAA both.example.com'])
    expect(await resolve('six.example.com', signal)).toEqual([{ address: '::1', family: 6 }])
    await expect(resolve('none.example.com', signal)).rejects.toMatchObject({ code: 'ENODATA' })
    await expect(resolve('a..b', signal)).rejects.toThrow()
  })

  it('that nobody answers for is let go of', async () => {
    const { resolve, asked } = await startServer({})
    const stop = new AbortController()
    const found = resolve('tarpit.example.com', stop.signal)
    found.catch(() => {})
    await expect.poll(() => asked.length).toBeGreaterThan(0)
    stop.abort(new Error('enough'))
    await expect(found).rejects.toThrow('enough')
  })

  it('of this machine is known to the system', async () => {
    const found = (await resolveAny('localhost', signal)).map(({ address }) => address)
    expect(found).toContain('127.0.0.1')
  })
})
