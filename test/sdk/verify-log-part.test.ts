import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { type LogAnswer, Pinaivu, PinaivuError } from '../../src/sdk/index.ts'
import { verifyLogPart } from '../../src/sdk/verify-log-part.ts'
import { thrownBy } from './scripted-fetch.ts'
import { startWholePeer } from './whole-peer.ts'

/** A character of the middle is another one. */
function spoilt(text: string): string {
  const at = Math.floor(text.length / 2)
  return text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
}

/** Everything about a part that a peer could say otherwise. */
function lies({ part, entries }: LogAnswer): LogAnswer[] {
  const [first, second, ...rest] = entries as [LogAnswer['entries'][0], LogAnswer['entries'][0]]
  const say = (change: object) => ({ part: { ...part, ...change }, entries })
  const show = (change: object) => ({ part, entries: [{ ...first, ...change }, second, ...rest] })
  return [
    ...[{ from: part.from + 1 }, { end: part.end + 1 }, { size: part.size + 1 }].map(say),
    ...[{ head: spoilt(part.head) }, { head_signature: spoilt(part.head_signature) }].map(say),
    ...[{ peaks: part.peaks.map(spoilt) }, { peaks: [] }, { peaks: ['x'] }].map(say),
    ...[{ path: part.peaks }, { head: '*' }].map(say),
    ...[{ index: 9 }, { cid: second.cid }, { entry_b64: spoilt(first.entry_b64) }].map(show),
    show({ entry_b64: second.entry_b64, cid: second.cid }),
    { part: { ...part, end: part.end - 1 }, entries: entries.slice(0, -1) },
    { part, entries: entries.toReversed() },
  ]
}

describe('a part of a log', () => {
  it('holds as its author signed it, from anywhere on, and in no other way', async () => {
    const { peer } = await startWholePeer()
    const { apiKey, http, peerId: author } = peer.ready()
    const pinaivu = new Pinaivu({ apiKey, baseURL: http ?? '' })
    const ask = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }] } as const
    for (let n = 0; n < 3; n++) await pinaivu.chat.completions.create(ask)
    const place = { author, network: 'main' }

    const from = 1
    const all = await pinaivu.log.read(author)
    const later = await pinaivu.log.read(author, { from })
    const whole = verifyLogPart(all.part, all.entries, place)
    expect(whole.size).toBe(all.part.size)
    expect(verifyLogPart(later.part, later.entries, place).root()).toEqual(whole.root())

    for (const lie of lies(later)) {
      expect(() => verifyLogPart(lie.part, lie.entries, place)).toThrow(PeerError)
    }
    for (const other of [
      { ...place, author: '12D3KooW' },
      { ...place, network: 'other' },
      { ...place, before: whole },
    ]) {
      expect(() => verifyLogPart(later.part, later.entries, other)).toThrow(PeerError)
    }
    const entries = pinaivu.log.entries(author, { network: 'other' })
    expect(await thrownBy(entries.next())).toBeInstanceOf(PinaivuError)
  })
})
