import { describe, expect, it } from 'vitest'
import { Lobby } from '../../src/market/choose/lobby.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'

const { signal } = new AbortController()

describe('the lobby', () => {
  const of = (account: string, modelId = 'm') => ({ account, modelId })
  const lobby = () => {
    const clock = new FakeClock()
    return { clock, lobby: new Lobby({ clock }) }
  }

  it('lets those go first that came first, of the model in question', async () => {
    const { lobby: place } = lobby()
    const gone: string[] = []
    for (const name of ['a', 'b', 'c'])
      place.wait(of('ada'), 1000, signal).then(() => gone.push(name))
    place.wait(of('ada', 'other'), 1000, signal).then(() => gone.push('other'))
    place.wake('m', 2)
    await settled()
    expect(gone).toEqual(['a', 'b'])
    place.wake('m', 5)
    place.wake('m', 5)
    await settled()
    expect(gone).toEqual(['a', 'b', 'c'])
  })

  it('keeps nobody beyond the time, or a caller that left', async () => {
    const { lobby: place, clock } = lobby()
    const leaving = new AbortController()
    const waits = [place.wait(of('ada'), 1000, signal), place.wait(of('ada'), 5000, leaving.signal)]
    waits.push(place.wait(of('ada'), 5000, AbortSignal.abort()))
    await clock.advance(1000)
    leaving.abort()
    await Promise.all(waits)
    expect(clock.pending).toBe(0)
  })

  const crowd = (place: Lobby, msOf: (n: number) => number) => {
    const gone: string[] = []
    const wait = (account: string, ms: number) =>
      place.wait(of(account), ms, signal).then(() => gone.push(account))
    for (let n = 0; n < 1000; n++) wait('ada', msOf(n))
    for (const account of ['bob', 'cy', 'bob']) wait(account, msOf(1000))
    return gone
  }

  it('gives accounts turns: a thousand requests of one keep nobody else waiting', async () => {
    const { lobby: place } = lobby()
    const gone = crowd(place, () => 1000)
    for (let n = 0; n < 6; n++) place.wake('m', 1)
    await settled()
    expect(gone).toEqual(['ada', 'bob', 'cy', 'ada', 'bob', 'ada'])
  })

  it('does so, too, where all look again at one time', async () => {
    const { lobby: place, clock } = lobby()
    const gone = crowd(place, () => 1000)
    await clock.advance(1000)
    expect(gone.slice(0, 6)).toEqual(['ada', 'bob', 'cy', 'ada', 'bob', 'ada'])
    expect(gone).toHaveLength(1003)
    expect(clock.pending).toBe(0)
  })

  it('wakes nobody before the time', async () => {
    const { lobby: place, clock } = lobby()
    const gone = crowd(place, (n) => 10 + n)
    await clock.advance(500)
    expect(gone).toEqual(Array(491).fill('ada'))
  })

  it('has a limit, and a lower one for each account', () => {
    const { lobby: place } = lobby()
    for (let n = 0; n < 3072; n++) place.wait(of('ada'), 1000, signal)
    expect(() => place.wait(of('ada'), 1000, signal)).toThrow('3072')
    for (let n = 0; n < 1024; n++) place.wait(of('bob'), 1000, signal)
    expect(() => place.wait(of('cy'), 1000, signal)).toThrow('4096')
  })
})
