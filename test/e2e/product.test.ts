import { describe, expect, it, onTestFinished } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { png, wav } from '../accounts/files/media-files.ts'
import { rounds } from '../campaign.ts'
import { type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// Sessions and files of a real peer that is killed in the middle of turns and uploads: what a client was
// told is there afterwards, and of anything else nothing.

const KILLS = rounds(1, 100)

interface Session {
  id: string
  message_count: number
  messages: { role: string; status: string; content: string }[]
}

const question = { model: 'pinaivu-demo', temperature: 0, message: 'What is a peer?' }

function client({ ready }: PeerProcess) {
  const headers = { authorization: `Bearer ${ready.apiKey}` }
  const url = `${ready.http}/api/v1`
  return {
    url,
    get: async <T>(path: string) =>
      (await fetch(`${url}${path}`, { headers })).json() as Promise<T>,
    content: async (id: string) => {
      const response = await fetch(`${url}/files/${id}/content`, { headers })
      return Buffer.from(await response.arrayBuffer())
    },
    say: (body: object, path = '') =>
      fetch(`${url}/chat/completions${path}`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ ...question, ...body }),
      }),
    send: async (bytes: Buffer, kind: string) => {
      const form = new FormData()
      form.set('file', new Blob([bytes as BlobPart]), 'a')
      form.set('kind', kind)
      const response = await fetch(`${url}/files`, { method: 'POST', headers, body: form })
      return (await response.json()) as { id: string; url: string; sha256: string }
    },
  }
}

describe('sessions and files', () => {
  it('are after a kill what their clients were told', async () => {
    const folder = temporaryFolder()
    onTestFinished(() => folder.remove())
    const random = seededRandom(7)
    let peer = await startPeer({ dataDir: folder.path })
    onTestFinished(() => peer.kill())
    let api = client(peer)
    const first = await (await api.say({ session_id: null })).json()
    const session_id: string = first.session_id
    const sent = await api.send(png(1), 'image')
    const files = [{ id: sent.id, bytes: png(1) }]
    let turns = 1
    for (let kill = 0; kill < KILLS; kill++) {
      const stream = await api.say({ session_id, message: `And ${kill}?` }, '/stream')
      const reader = stream.body?.getReader()
      let said = ''
      let left = 1 + random.below(40)
      const bytes = wav(1000 + kill)
      const sending = api.send(bytes, 'audio').then(
        ({ id }) => files.push({ id, bytes }),
        () => {},
      )
      for (; left > 0; left--) {
        const { value, done } = (await reader?.read()) ?? { done: true, value: undefined }
        if (done) break
        said += Buffer.from(value ?? []).toString()
      }
      await peer.kill()
      await sending
      peer = await startPeer({ dataDir: folder.path })
      api = client(peer)
      const session = await api.get<Session>(`/chat/sessions/${session_id}`)
      const told = turns + (said.includes('event: chat.completed') ? 1 : 0)
      expect([told, turns + 1]).toContain(session.message_count / 2)
      turns = session.message_count / 2
      expect(session.messages.every(({ status }) => status === 'completed')).toBe(true)
      const { data } = await api.get<{ data: { id: string; sha256: string }[] }>('/files?limit=100')
      for (const { id, bytes: expected } of files) {
        expect(data.some((file) => file.id === id)).toBe(true)
        expect(await api.content(id)).toEqual(expected)
      }
      for (const { id } of data) expect((await api.content(id)).length).toBeGreaterThan(0)
    }
    // A link is still good, at whatever address the peer is now.
    const { pathname, search } = new URL(sent.url)
    expect((await fetch(`${peer.ready.http}${pathname}${search}`)).status).toBe(200)
    const more = await (await api.say({ session_id })).json()
    expect(more.session_id).toBe(session_id)
    expect(await peer.stop()).toBe(0)
  })
})
