import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createPeer, type FlagValues, readConfig } from '../src/index.ts'
import { startReceiver } from './accounts/webhooks/receiver.ts'

const signal = new AbortController().signal

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-webhooks-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function startPeer(dataDir: string, flags: FlagValues = {}) {
  const free = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], 'no-demo': true }
  const config = readConfig({ flags: { ...free, 'data-dir': dataDir, ...flags }, env: {} })
  const peer = await createPeer(config)
  onTestFinished(() => peer.stop())
  await peer.start({ signal })
  const { http, apiKey } = peer.ready()
  const call = async (path: string, body?: unknown) => {
    const answer = await fetch(`${http}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return (await answer.json()) as Record<string, unknown>
  }
  return { peer, call }
}

it('a peer sends webhooks into its own network only when it was told to; it knows them after a restart', async () => {
  const receiver = await startReceiver()
  const dataDir = folder()
  const hook = { url: `http://127.0.0.1:${receiver.port}/`, event_types: ['chat.completed'] }
  const first = await startPeer(dataDir, { 'allow-private-webhooks': true })
  const { id } = await first.call('/webhooks', hook)
  expect(await first.call(`/webhooks/${id}/test`, {})).toMatchObject({ status: 'succeeded' })
  expect(receiver.got[0]?.headers['user-agent']).toMatch(/^pinaivu-peer\/\d/)
  await first.peer.stop()

  const second = await startPeer(dataDir)
  expect(await second.call('/webhooks')).toMatchObject({ data: [{ id, ...hook }] })
  expect(await second.call(`/webhooks/${id}/test`, {})).toMatchObject({
    ...{ status: 'failed', error: { code: 'url_rejected' } },
  })
  expect(await second.call('/webhooks', hook)).toMatchObject({
    error: { code: 'webhook_url_rejected' },
  })
  expect(receiver.connections()).toBe(1)
})
