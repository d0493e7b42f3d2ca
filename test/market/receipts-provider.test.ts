import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Chunk } from '../../src/wire/chunk.ts'
import { decodeEntry, readBody } from '../../src/wire/entry.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import { encodeFromProvider } from '../../src/wire/generate-codec.ts'
import { routingHolds } from '../../src/wire/routing.ts'
import { settled } from '../base/fake-clock.ts'
import { verify } from '../receipts/feeds/stage.ts'
import { frames, jobOf, NETWORK, stage, two } from './coordinator-stage.ts'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())

describe('a provider', () => {
  type Done = Extract<FromProvider, { type: 'done' }>
  const lies: [what: string, dispute: string, isFault: boolean, lie: (done: Done) => Done][] = [
    ['signs nothing', 'no_receipt', false, ({ receipt: _none, ...done }) => done],
    ['sends no entry', 'no_entry', false, (done) => ({ ...done, entry: new Uint8Array() })],
    [
      'has a signature that does not hold',
      'bad_signature',
      true,
      (done) => ({ ...done, receipt: { ...signed(done), signature: new Uint8Array(64) } }),
    ],
    [
      'changes what it signed',
      'bad_signature',
      true,
      (done) => ({ ...done, receipt: { ...signed(done), meteringUnits: 99 } }),
    ],
    ['sends another entry', 'wrong_entry', true, (done) => ({ ...done, entry: Uint8Array.of(1) })],
  ]
  const signed = ({ receipt }: Done) => {
    if (receipt === undefined) throw new Error('nothing was signed')
    return receipt
  }

  it.each(lies)('that %s is disputed', async (_what, dispute, isFault, lie) => {
    const { collect, provider, proof, faults, identity } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['Hello']))
        const done = line.signed(frames.done(1)) as Done
        line.stream.write(encodeFromProvider(lie(done)))
        while ((await line.hear()) !== undefined);
      },
    })
    const { text, done } = await collect()
    await settled()
    // The client has its answer, and the word of the one it asked.
    expect(text).toBe('Hello')
    expect(done.receipt).toMatchObject({ status: 'partial', nodeId: identity.peerId })
    const found = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(found).toMatchObject({ verified: true, receipt: { resultHash: sha256('Hello') } })
    expect(found?.routing?.body).toMatchObject({ verdict: 'dispute', dispute, amount: 0 })
    const ack = lines[0]?.heard[0]
    expect(ack).toMatchObject({ type: 'ack', dispute })
    expect(faults()).toHaveLength(isFault ? 1 : 0)
  })

  it('that shows again what it signed of an earlier answer is disputed', async () => {
    const { collect, provider, proof, faults } = await stage()
    let first: Done | undefined
    await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['Hello']))
        first ??= line.signed(frames.done(1)) as Done
        line.stream.write(encodeFromProvider(first))
        while ((await line.hear()) !== undefined);
      },
    })
    const before = await collect()
    const after = await collect()
    await settled()
    expect([before.done.receipt?.status, after.done.receipt?.status]).toEqual(['final', 'partial'])
    const found = await proof.receipts.find(after.done.receipt?.cid ?? '')
    const told = { verdict: 'dispute', dispute: 'bad_signature', amount: 0 }
    expect(found?.routing?.body).toMatchObject(told)
    expect(faults()).toHaveLength(1)
  })

  it('that signs another text is disputed, and what it signed is kept', async () => {
    const { collect, provider, proof, faults } = await stage()
    await provider({
      script: async (line) => {
        line.say(frames.accept())
        line.signed(frames.tokens(0, ['Goodbye']))
        line.stream.write(encodeFromProvider(frames.tokens(0, ['Hello'])))
        line.say(frames.done(1))
        while ((await line.hear()) !== undefined);
      },
    })
    await collect()
    await settled()
    const [routing] = await proof.bodies()
    if (routing?.kind !== 'routing') throw new Error('no routing')
    expect(routing.body).toMatchObject({ verdict: 'dispute', dispute: 'wrong_hash' })
    expect(routing.body.parts[0]?.receipt?.resultHash).toEqual(sha256('Goodbye'))
    expect(faults()).toHaveLength(1)
  })

  it('whose open receipt does not hold is left for another', async () => {
    const { collect, good, faults } = await two(async (line) => {
      line.signs = false
      line.say({ ...frames.accept(), openSignature: new Uint8Array(64) } as FromProvider)
      line.say(frames.tokens(0, ['a']))
    })
    const { routed } = await collect()
    expect(routed.node.id).toBe(good.peerId)
    expect(faults()).toHaveLength(1)
  })

  it('that was at its end before it heard of the cancel is right', async () => {
    const { coordinator, provider, proof, faults } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['Hello']))
        // The Cancel.
        await line.hear()
        line.say(frames.tokens(1, [' world']), frames.done(2))
        while ((await line.hear()) !== undefined);
      },
    })
    const leaving = new AbortController()
    let last: Chunk | undefined
    for await (const chunk of coordinator.generate(jobOf(), leaving)) {
      if (chunk.type === 'tokens') leaving.abort()
      last = chunk
    }
    await settled()
    expect(last).toMatchObject({ type: 'done', finish: ['cancelled'], usage: { outputTokens: 1 } })
    const [routing] = await proof.bodies()
    expect(routing?.body).toMatchObject({ verdict: 'ok', tokens: { output: 2 } })
    expect(lines[0]?.heard.at(-1)).toMatchObject({ type: 'ack', dispute: '' })
    expect(faults()).toEqual([])
  })

  it('is told what the log says of it', async () => {
    const { collect, provider } = await stage()
    const { lines } = await provider()
    await collect()
    await settled()
    const ack = lines[0]?.heard[0]
    if (ack?.type !== 'ack') throw new Error('no ack')
    const { entry } = decodeEntry(ack.entry)
    expect(readBody(entry)?.kind).toBe('routing')
    expect(routingHolds(entry.body, { network: NETWORK, verify })).toBe(true)
  })

  it('says in its first frame what can be named until the end', async () => {
    const { coordinator, provider } = await stage()
    await provider()
    const cids: (string | undefined)[] = []
    for await (const chunk of coordinator.generate(jobOf(), new AbortController())) {
      if (chunk.type === 'accepted' || chunk.type === 'routed') cids.push(chunk.openCid)
    }
    expect(cids).toEqual([expect.stringMatching(/^ryv1:sha256:/), cids[0]])
  })
})
