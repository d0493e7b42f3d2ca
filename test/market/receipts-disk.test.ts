import { describe, expect, it } from 'vitest'
import type { Row } from '../../src/storage/backend.ts'
import type { Routing } from '../../src/wire/routing.ts'
import { ANSWER_TEXT } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { proofStage } from '../receipts/stage.ts'
import { StubBackend } from '../storage/stub-backend.ts'
import { bothEnds } from './both-ends-stage.ts'
import { jobOf, NETWORK, signal, type stage } from './coordinator-stage.ts'

const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })

type Stage = Pick<Awaited<ReturnType<typeof stage>>, 'coordinator'>

/** What a client reads, and how it ends. */
async function read({ coordinator }: Stage, model: string): Promise<{ text: string; end: string }> {
  let text = ''
  try {
    for await (const chunk of coordinator.generate(jobOf({ model }), { signal })) {
      if (chunk.type === 'tokens') text += chunk.text
      if (chunk.type === 'done') return { text, end: chunk.receipt?.status ?? 'none' }
    }
  } catch (error) {
    return { text, end: (error as { code: string }).code }
  }
  return { text, end: 'nothing' }
}

const routings = async ({ bodies }: Awaited<ReturnType<typeof proofStage>>): Promise<Routing[]> =>
  (await bodies()).flatMap((each) => (each.kind === 'routing' ? [each.body] : []))

describe('a coordinator whose disk is full', () => {
  it.each(['test-chat', 'theirs'])(
    'says so where %s has answered, and goes on when there is room',
    async (model) => {
      const backend = new StubBackend()
      const all = await bothEnds({ own: { backend } })
      expect(await read(all, model)).toEqual({ text: ANSWER_TEXT, end: 'final' })
      await settled()
      const before = (await all.proof.bodies()).length
      backend.failNext = { error: full(), rowsWritten: false }
      expect(await read(all, model)).toEqual({ text: ANSWER_TEXT, end: 'storage_failed' })
      await settled()
      // Nobody works for what can't be written.
      const jobs = all.engine.jobs.length + all.theirEngine.jobs.length
      expect(await read(all, model)).toEqual({ text: '', end: 'storage_failed' })
      expect(all.engine.jobs.length + all.theirEngine.jobs.length).toBe(jobs)
      expect(all.faults()).toEqual([])
      await all.coordinator.stop()
      // A restart, with room on the disk.
      const again = await bothEnds({ own: { backend } })
      expect(await again.proof.bodies()).toHaveLength(before)
      expect(await read(again, model)).toEqual({ text: ANSWER_TEXT, end: 'final' })
      expect((await again.proof.bodies()).length).toBe(2 * before)
    },
  )

  it('owes what its log says, whatever was not written', async () => {
    const backend = new StubBackend()
    const price = { input: 1_000, output: 0 }
    const all = await bothEnds({ own: { backend }, price })
    await read(all, 'theirs')
    await settled()
    backend.failNext = { error: full(), rowsWritten: false }
    await read(all, 'theirs')
    const again = await bothEnds({ own: { backend }, price })
    await read(again, 'theirs')
    const owed = (await routings(again.proof)).map(({ parts }) => parts[0]?.owedTotal)
    expect(owed).toEqual([5, 10])
  })
})

it('a coordinator whose disk is slow refuses what it can’t write in time', async () => {
  const backend = new StubBackend()
  const all = await bothEnds({ own: { backend, log: { waitingMax: 1 } } })
  expect((await read(all, 'theirs')).end).toBe('final')
  backend.held = true
  const written = read(all, 'test-chat')
  await settled()
  const waits = read(all, 'test-chat')
  await settled()
  expect(await read(all, 'test-chat')).toEqual({ text: ANSWER_TEXT, end: 'overloaded' })
  backend.release()
  expect([(await written).end, (await waits).end]).toEqual(['final', 'final'])
  expect((await read(all, 'theirs')).end).toBe('final')
})

it.each(['test-chat', 'theirs'])(
  'a coordinator whose disk hangs keeps nobody of %s waiting, and says nothing that is not on it',
  async (model) => {
    const backend = new StubBackend()
    const all = await bothEnds({ own: { backend } })
    await read(all, model)
    await settled()
    const before = (await all.proof.bodies()).length
    const { length } = backend.writes
    backend.held = true
    let told: Awaited<ReturnType<typeof read>> | undefined
    const reading = read(all, model).then((each) => {
      told = each
    })
    await expect.poll(() => backend.writes.length).toBeGreaterThan(length)
    await all.clock.advance(9_000)
    expect(told).toBeUndefined()
    await all.clock.advance(1_500)
    await reading
    expect(told).toEqual({ text: ANSWER_TEXT, end: 'storage_failed' })
    // The disk takes it after all.
    backend.release()
    await expect.poll(async () => (await all.proof.bodies()).length).toBe(2 * before)
    expect((await read(all, 'test-chat')).end).toBe('final')
  },
)

it.each(['test-chat', 'theirs'])('whoever stops waits for what %s is written of', async (model) => {
  const backend = new StubBackend()
  const all = await bothEnds({ own: { backend } })
  await read(all, model)
  await settled()
  backend.held = true
  const answer = read(all, model)
  await settled()
  let stopped = false
  const stopping = all.coordinator.stop().then(() => {
    stopped = true
  })
  await all.clock.advance(5_000)
  expect(stopped).toBe(false)
  backend.release()
  await stopping
  expect(await answer).toEqual({ text: ANSWER_TEXT, end: 'final' })
})

describe('a provider', () => {
  it('whose disk is full says that it failed, and takes no more jobs', async () => {
    const theirBackend = new StubBackend()
    const all = await bothEnds({ theirBackend })
    theirBackend.failNext = { error: full(), rowsWritten: false }
    const cut = { text: ANSWER_TEXT, end: 'provider_failed' }
    expect(await read(all, 'theirs')).toEqual(cut)
    await settled()
    const [routing, ...more] = await routings(all.proof)
    expect(routing).toMatchObject({ verdict: 'dispute', dispute: 'failed', tokens: { output: 8 } })
    expect(more).toEqual([])
    const jobs = all.theirEngine.jobs.length
    expect(await read(all, 'theirs')).toEqual({ text: '', end: 'no_nodes_available' })
    expect(all.theirEngine.jobs).toHaveLength(jobs)
    expect(all.faults()).toEqual([])
    expect(all.provider.status().open).toBe(0)
  })

  it('whose disk hangs keeps nobody waiting, and has its places free again', async () => {
    const theirBackend = new StubBackend()
    const all = await bothEnds({ theirBackend })
    theirBackend.held = true
    let told: Awaited<ReturnType<typeof read>> | undefined
    const reading = read(all, 'theirs').then((each) => {
      told = each
    })
    await expect.poll(() => theirBackend.writes.length).toBeGreaterThan(1)
    await all.clock.advance(9_000)
    expect(told).toBeUndefined()
    await all.clock.advance(1_500)
    await reading
    expect(told).toEqual({ text: ANSWER_TEXT, end: 'provider_failed' })
    await expect.poll(() => all.provider.status().open).toBe(0)
    expect((await routings(all.proof))[0]).toMatchObject({ verdict: 'dispute', dispute: 'failed' })
    expect(all.faults()).toEqual([])
    // The disk takes it after all.
    theirBackend.release()
    await expect.poll(() => all.theirProof.bodies()).toMatchObject([{ kind: 'execution' }])
  })

  it('killed between its entry and its last frame is lost, and its entry is not', async () => {
    let afterWrite = (_rows: readonly Row[]) => {}
    const theirBackend = new (class extends StubBackend {
      override async write(rows: readonly Row[], sync?: boolean): Promise<void> {
        await super.write(rows, sync)
        afterWrite(rows)
      }
    })()
    const all = await bothEnds({ theirBackend })
    afterWrite = () => all.hub.kill(all.peerId)
    expect(await read(all, 'theirs')).toEqual({ text: ANSWER_TEXT, end: 'provider_failed' })
    afterWrite = () => {}
    await settled()
    const [routing] = await routings(all.proof)
    expect(routing).toMatchObject({ verdict: 'dispute', dispute: 'broken', amount: 0 })
    // It is back.
    const { clock, theirIdentity: identity } = all
    const back = await proofStage({ clock, identity, network: NETWORK, backend: theirBackend })
    const [execution, ...more] = await back.bodies()
    if (execution?.kind !== 'execution') throw new Error('no execution')
    expect(more).toEqual([])
    const { receipt } = execution.body
    // Both tell of the same text; the one who had it done tells that it had it.
    expect(receipt.resultHash).toEqual(routing?.whole?.resultHash)
    expect(receipt.nodePk).toEqual(identity.publicKey)
  })
})
