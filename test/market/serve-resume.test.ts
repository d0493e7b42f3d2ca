import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type { Finish } from '../../src/wire/chunk.ts'
import { decodeEntry, readBody } from '../../src/wire/entry.ts'
import type { Resume } from '../../src/wire/generate.ts'
import { receiptHolds, segmentJobId } from '../../src/wire/receipt.ts'
import { settled } from '../base/fake-clock.ts'
import { verify } from '../receipts/feeds/stage.ts'
import { type Ask, chat, HandEngine, type Line, stage } from './serve-stage.ts'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())

const begun: Resume = { choice: 0, text: 'The first', ids: [50, 51, 52] }

/** What goes on behind that: so many words, one for each token. */
async function goingOn(words: string[], ask: Ask = {}, finish: Finish[] = ['stop']) {
  const all = await stage()
  const resumes: (readonly Resume[] | undefined)[] = []
  all.engine.script = async function* (job, signal) {
    resumes.push(job.resume)
    yield { type: 'accepted', inputTokens: 7 }
    const [{ ids }] = job.resume as [Resume]
    for (const [at, text] of words.entries()) {
      if (signal.aborted) break
      yield { type: 'tokens', choice: 0, index: ids.length + at, ids: [60 + at], text }
      await all.clock.sleep(10, new AbortController().signal)
    }
    const usage = { inputTokens: 7, cachedTokens: 0, outputTokens: words.length }
    yield { type: 'done', finish, usage }
  }
  const coordinator = await all.coordinator()
  const line = await coordinator.ask({ resume: [begun], ...ask })
  return { ...all, coordinator, line, resumes }
}

/** The receipt of a finished line, if it holds. */
function receiptOf(line: Line, jobId: string) {
  const { entry, receipt } = line.last('done')
  const read = readBody(decodeEntry(entry).entry)
  if (read?.kind !== 'execution' || receipt === undefined) throw new Error('nothing was signed')
  const { nodePk } = read.body.receipt
  expect(receiptHolds({ jobId, nodePk, ...receipt }, verify)).toBe(true)
  return { ...receipt, nodePk, execution: read.body }
}

describe('an answer that another began', () => {
  it('goes on at its next position, and is signed from there', async () => {
    const { line, clock, resumes, outcomes } = await goingOn([' word', ' or', ' two'], {
      jobId: 'job_r.2',
    })
    await clock.advance(100)
    expect(resumes).toEqual([[begun]])
    expect(line.last('accept')).toMatchObject({ inputTokens: 7, resumedAt: [3] })
    const positions = line.all('tokens').flatMap(({ first, ids }) => ids.map((_, at) => first + at))
    expect(positions).toEqual([3, 4, 5])
    expect(line.text()).toBe(' word or two')
    expect(line.last('done')).toMatchObject({
      finish: ['stop'],
      usage: { inputTokens: 7, outputTokens: 3 },
    })
    const { resultHash, meteringUnits, execution } = receiptOf(line, 'job_r.2')
    expect(resultHash).toEqual(sha256(' word or two'))
    expect(meteringUnits).toBe(10)
    expect(execution.tokens).toEqual({ input: 7, cached: 0, output: 3 })
    await line.ack()
    expect(outcomes).toEqual(['done'])
  })

  it('has segments of its own part', async () => {
    const words = Array.from({ length: 40 }, (_, at) => ` ${at}`)
    const { line, clock } = await goingOn(words, { jobId: 'job_s.2' })
    await clock.advance(1000)
    const { nodePk } = receiptOf(line, 'job_s.2')
    const [first] = line.all('segment')
    if (first === undefined) throw new Error('no segment')
    const { end, units, resultHash, signature } = first
    expect(end).toBeGreaterThan(0)
    expect(end).toBeLessThanOrEqual(40)
    expect(units).toBe(7 + end)
    expect(resultHash).toEqual(sha256(words.slice(0, end).join('')))
    const jobId = segmentJobId('job_s.2', end)
    const receipt = { jobId, nodePk, resultHash, meteringUnits: units, signature }
    expect(receiptHolds(receipt, verify)).toBe(true)
  })

  it('can be cancelled at what this provider sent', async () => {
    const { line, clock } = await goingOn([' a', ' b', ' c', ' d'], { jobId: 'job_c.2' })
    await clock.advance(15)
    expect(line.text()).toBe(' a b')
    await line.cancel(2)
    expect(line.last('done')).toMatchObject({
      finish: ['cancelled'],
      usage: { inputTokens: 7, outputTokens: 2 },
    })
    const { resultHash, meteringUnits } = receiptOf(line, 'job_c.2')
    expect(resultHash).toEqual(sha256(' a b'))
    expect(meteringUnits).toBe(9)
  })

  it('can not be cancelled at what others sent', async () => {
    const { line, clock } = await goingOn([' a', ' b', ' c'])
    await clock.advance(5)
    await line.cancel(4)
    expect(line.last('failed').code).toBe('malformed')
  })

  it('ends at once where nothing is left to say', async () => {
    const { line } = await goingOn([], { jobId: 'job_e.2' }, ['length'])
    expect(line.last('done')).toMatchObject({ finish: ['length'], usage: { outputTokens: 0 } })
    const { resultHash, meteringUnits } = receiptOf(line, 'job_e.2')
    expect(resultHash).toEqual(sha256(''))
    expect(meteringUnits).toBe(7)
  })

  it('brings what was held in a frame without ids', async () => {
    const { engine, coordinator: join } = await stage()
    engine.script = async function* () {
      yield { type: 'accepted', inputTokens: 7 }
      yield { type: 'tokens', choice: 0, index: 3, ids: [], text: ' word' }
      const usage = { inputTokens: 7, cachedTokens: 0, outputTokens: 0 }
      yield { type: 'done', finish: ['length'], usage }
    }
    const coordinator = await join()
    const line = await coordinator.ask({ jobId: 'job_h.2', resume: [begun] })
    expect(line.all('tokens')).toMatchObject([{ first: 3, ids: [], text: ' word' }])
    expect(receiptOf(line, 'job_h.2').resultHash).toEqual(sha256(' word'))
  })

  it('tells of each choice where it goes on, begun or not', async () => {
    const { line } = await goingOn([], { work: chat('hello', { choices: 3 }) }, [
      'stop',
      'stop',
      'stop',
    ])
    expect(line.last('accept').resumedAt).toEqual([3, 0, 0])
    const { coordinator } = await stage()
    const fresh = await (await coordinator()).ask()
    expect(fresh.last('accept').resumedAt).toEqual([])
  })

  it('may be as long as megabytes, in pieces that end anywhere', async () => {
    const text = 'word '.repeat(300_000)
    const ids = Array.from({ length: 300_000 }, (_, at) => at)
    const { line, resumes } = await goingOn([' end'], { resume: [{ choice: 0, text, ids }] })
    await settled()
    expect(line.last('accept').resumedAt).toEqual([300_000])
    expect(resumes[0]?.[0]?.text).toBe(text)
  })

  it('is refused with the word of an engine that can not go on with it', async () => {
    const { engine, coordinator: join, faults } = await stage()
    const hand = new HandEngine()
    engine.script = hand.script
    hand.fail(new PeerError('invalid_resume', 'What is there of choice 0 is not what its ids say.'))
    const line = await (await join()).ask({ resume: [begun] })
    expect(line.last('refuse')).toMatchObject({ code: 'invalid_resume', retryAfterMs: 0 })
    expect(faults()).toEqual([])
  })
})
