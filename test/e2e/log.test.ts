import { cpSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { headsOf, ownHeads, patienceMs, untilAlike, within } from './log-view.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

const gateway = ['--no-demo', '--roles', 'coordinator']

describe('what was done', { timeout: 120_000 }, () => {
  const folders = [temporaryFolder(), temporaryFolder()] as const
  const [home, copy] = folders.map(({ path }) => path) as [string, string]
  const started: PeerProcess[] = []
  let provider: PeerProcess
  let coordinator: PeerProcess
  let archive: PeerProcess
  /** It publishes nothing. */
  let stranger: PeerProcess

  const start = async (args: string[], dataDir?: string) => {
    const [door] = started[0]?.ready.addrs ?? []
    const joined = door === undefined ? [] : ['--bootstrap', door]
    const peer = await startPeer({
      args: ['--network', 'log', ...joined, ...args],
      ...(dataDir === undefined ? {} : { dataDir }),
    })
    started.push(peer)
    return peer
  }

  const chat = (peer: PeerProcess) =>
    ask(peer.ready, '/v1/chat/completions', {
      model: 'pinaivu-demo',
      temperature: 0,
      max_tokens: 8,
      messages: [{ role: 'user', content: 'What is a peer?' }],
    })

  /** The CID of the first receipt that it is given. */
  async function served(peer: PeerProcess): Promise<string> {
    const signal = AbortSignal.timeout(20_000)
    for (;;) {
      const answer = await chat(peer)
      const body = (await answer.json()) as { receipt: { cid: string } }
      if (answer.status === 200) return body.receipt.cid
      await sleep(50, undefined, { signal })
    }
  }

  beforeAll(async () => {
    archive = await start(['--no-demo', '--roles', 'archive'])
    ;[coordinator, provider, stranger] = await Promise.all([
      start(gateway),
      start([], home),
      start([...gateway, '--publish', 'none']),
    ])
  })
  afterAll(async () => {
    await Promise.all(started.map((peer) => peer.stop()))
    for (const folder of folders) folder.remove()
  })

  it('is in the logs of both sides and in the archive, and can be found by anybody', async () => {
    const cid = await served(coordinator)
    await untilAlike(archive, provider)
    await untilAlike(archive, coordinator)
    await untilAlike(coordinator, provider)
    const found = async () => {
      const answer = await ask(stranger.ready, `/v8/receipts/${cid}`)
      return answer.status === 200 ? await answer.json() : undefined
    }
    await expect.poll(found, { timeout: patienceMs, interval: 500 }).toMatchObject({
      cid,
      verified: true,
      node: provider.ready.peerId,
      proof: { entries: [{ head: expect.any(String) }] },
    })
    expect(await headsOf(stranger, archive.ready)).toEqual([])
  })

  it('is shown again once a peer that was restarted was told what others know', async () => {
    const before = await ownHeads(provider)
    await provider.stop()
    cpSync(home, copy, { recursive: true })
    provider = await start([], home)
    await expect.poll(() => ownHeads(provider), within(patienceMs)).toEqual(before)
    await served(coordinator)
    await untilAlike(archive, provider)
    const [head] = await ownHeads(provider)
    expect(head?.epoch).toBe(before[0]?.epoch)
    expect(head?.size).toBeGreaterThan(before[0]?.size ?? 0)
  })

  it('goes on in another epoch when a peer comes back as it was before', async () => {
    const [known] = await ownHeads(provider)
    await provider.kill()
    provider = await start([], copy)
    await served(coordinator)
    const begun = async () =>
      (await ownHeads(provider)).filter(({ epoch }) => epoch !== known?.epoch)
    await expect.poll(begun, within(patienceMs)).toHaveLength(1)
    const heads = () => headsOf(archive, provider.ready)
    await expect.poll(heads, within(patienceMs)).toContainEqual((await begun())[0])
    expect(await heads()).toContainEqual(known)
    expect(archive.log()).not.toContain('barred')
  })

  it('is nowhere where nothing is to be published', async () => {
    const before = await ownHeads(provider)
    const cid = await served(stranger)
    expect(await ownHeads(stranger)).toEqual([])
    expect(await ownHeads(provider)).toEqual(before)
    const asked = [archive, coordinator, provider].map(({ ready }) =>
      ask(ready, `/v8/receipts/${cid}`),
    )
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(404)
    expect(await headsOf(archive, stranger.ready)).toEqual([])
  })
})
