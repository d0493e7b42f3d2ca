import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import type { DirectoryEntry } from '../../../src/network/discovery/directory.ts'
import { whoMakesRoom } from '../../../src/network/discovery/make-room.ts'
import { MemoryDirectory } from '../../../src/network/discovery/memory-directory.ts'
import { Roster } from '../../../src/network/discovery/roster.ts'
import { Sequences } from '../../../src/network/discovery/sequences.ts'
import { chooseWatched } from '../../../src/network/discovery/watch-choice.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { facts, model } from './stage.ts'

function entry(
  peerId: string,
  models: readonly string[],
  { sequence = 1, net = 'here', roles = facts(models).roles } = {},
): DirectoryEntry {
  return {
    net,
    peerId,
    advert: { ...facts(models, { roles }), peerId, sequence, ttlS: 60, addresses: [] },
    status: undefined,
    heardAt: 0,
    connected: true,
    rttMs: undefined,
  }
}

function directoryOf(...entries: DirectoryEntry[]): MemoryDirectory {
  const directory = new MemoryDirectory()
  for (const each of entries) directory.put(each)
  return directory
}

const ids = (entries: readonly DirectoryEntry[]) => entries.map(({ peerId }) => peerId).toSorted()

describe('the directory', () => {
  const names = ['m', 'n', 'o']
  const step = fc.record({
    peerId: fc.constantFrom('a', 'b', 'c', 'd'),
    what: fc.oneof(
      fc.record({ models: fc.subarray(names) }),
      fc.record({ heardAt: fc.nat() }),
      fc.constant('remove' as const),
    ),
  })

  test('its indices always say what its entries say', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const directory = new MemoryDirectory()
        const expected = new Map<string, DirectoryEntry>()
        directory.onChange(({ peerId, entry, previous }) => {
          expect(previous).toBe(expected.get(peerId))
          if (entry === undefined) expected.delete(peerId)
          else expected.set(peerId, entry)
        })
        for (const { peerId, what } of steps) {
          if (what === 'remove') directory.remove(peerId)
          else if ('models' in what) directory.put(entry(peerId, what.models))
          else directory.update(peerId, what)
          const all = [...expected.values()]
          expect(ids(directory.all())).toEqual(ids(all))
          for (const name of names) {
            const having = all.filter(({ advert }) => advert.models.some((m) => m.name === name))
            expect(new Set(directory.byModelName(name))).toEqual(new Set(having))
            expect(new Set(directory.byModelId(model(name).id))).toEqual(new Set(having))
            expect(directory.modelNames().has(name)).toBe(having.length > 0)
          }
        }
      }),
    )
  })

  test('what is asked again is not put together again', () => {
    const directory = directoryOf(entry('a', ['m']), entry('b', ['m', 'n']))
    expect(directory.all()).toBe(directory.all())
    expect(directory.byModelName('m')).toBe(directory.byModelName('m'))
    const names = directory.modelNames()
    directory.update('a', { heardAt: 5 })
    expect(directory.modelNames()).toBe(names)
    expect(directory.byModelName('m').map(({ heardAt }) => heardAt)).toEqual([5, 0])
  })

  test('an entry is never changed, nor a list that was given out', () => {
    const directory = directoryOf(entry('a', ['m']))
    const [before, list] = [directory.get('a'), directory.byModelName('m')]
    directory.update('a', { heardAt: 5 })
    directory.remove('a')
    expect(before?.heardAt).toBe(0)
    expect(list).toEqual([before])
  })

  test('one name may stand for several models', () => {
    const other = entry('b', [])
    const models = [model('n', { name: 'm' })]
    const directory = directoryOf(entry('a', ['m']), {
      ...other,
      advert: { ...other.advert, models },
    })
    expect(directory.modelNames().get('m')).toEqual(new Set([model('m').id, model('n').id]))
    expect(ids(directory.byModelId(model('n').id))).toEqual(['b'])
  })
})

describe('sequences', () => {
  test('what counts only ever grows, and nothing counts that a departure covers', () => {
    const step = fc.record({ sequence: fc.nat(8), departure: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const sequences = new Sequences()
        let highest = -1
        let departed = false
        for (const { sequence, departure } of steps) {
          const newer = sequence > highest
          if (departure) {
            expect(sequences.departure('a', sequence, Uint8Array.of(sequence))).toBe(
              newer || (!departed && sequence === highest),
            )
            if (sequence >= highest) departed = true
          } else {
            const verdict = sequences.advert('a', sequence)
            if (newer) expect(verdict).toBe('newer')
            else if (departed) expect(verdict).toBe('departed')
            else expect(verdict).toBe(sequence === highest ? 'same' : 'stale')
            if (newer) departed = false
          }
          highest = Math.max(highest, sequence)
          const kept = departed ? Uint8Array.of(highest) : undefined
          expect(sequences.departureOf('a')).toEqual(kept)
        }
      }),
    )
  })

  test('who is listed is not removed by an old departure, though its sequence was forgotten', () => {
    const directory = new MemoryDirectory()
    const network = { isConnected: () => true, disconnect: async () => {}, link: () => undefined }
    const parts = { clock: new FakeClock(), logger: silentLogger, metrics: noMetrics }
    const roster = new Roster({ ...parts, directory, network, stays: () => false })
    roster.admit(entry('healthy', ['m'], { sequence: 7 }).advert)
    const signed = new Uint8Array()
    for (let other = 0; other < 5000; other++) roster.depart(`stranger ${other}`, 1, signed)
    expect(roster.knows('healthy')).toBe(false)
    expect(roster.depart('healthy', 6, signed)).toBe(false)
    expect(directory.size).toBe(1)
    expect(roster.depart('healthy', 8, signed)).toBe(true)
  })

  test('they are remembered for a bounded number of peers', () => {
    const sequences = new Sequences()
    for (let n = 0; n < 10_000; n++) sequences.advert(`peer ${n}`, 5)
    const known = Array.from({ length: 10_000 }, (_, n) => sequences.knows(`peer ${n}`))
    expect(known.filter(Boolean)).toHaveLength(4096)
  })
})

describe('a full directory', () => {
  const nobody = () => false
  const room = (
    directory: MemoryDirectory,
    newcomer: DirectoryEntry,
    { stays = nobody as (peerId: string) => boolean, guests = [''] } = {},
  ) =>
    whoMakesRoom(
      { directory, guests: new Set(guests.filter(Boolean)), stays },
      { advert: newcomer.advert, net: newcomer.net ?? '' },
    )

  test('keeps who is in it from newcomers with nothing new', () => {
    const directory = directoryOf(entry('a', ['m']), entry('b', ['m']), entry('c', []))
    expect(room(directory, entry('x', ['m']))).toBeUndefined()
    expect(room(directory, entry('x', []))).toBeUndefined()
  })

  test('takes one with a new model, and loses no model by it', () => {
    const directory = directoryOf(entry('a', ['m', 'n']), entry('b', ['m']), entry('c', ['n']))
    const leaves = (stays: (peerId: string) => boolean) =>
      room(directory, entry('x', ['o']), { stays })?.leaves
    expect(leaves(nobody)).toBe('a')
    expect(leaves((peerId) => peerId === 'a')).toBe('b')
    expect(leaves(() => true)).toBeUndefined()
    directory.remove('a')
    expect(leaves(nobody)).toBeUndefined()
  })

  test('gives only so many places to models that nobody else has, and those in turn', () => {
    const many = Array.from({ length: 48 }, (_, n) => `guest ${n}`)
    const directory = directoryOf(
      ...['a', 'b', 'c'].map((peerId) => entry(peerId, ['m'])),
      ...many.map((peerId) => entry(peerId, [peerId])),
    )
    const leaves = (guests: string[], stays: (peerId: string) => boolean) =>
      room(directory, entry('x', ['new']), { guests, stays })
    expect(leaves(many.slice(1), nobody)).toEqual({ leaves: 'a', isGuest: true })
    expect(leaves(many, nobody)).toEqual({ leaves: 'guest 0', isGuest: true })
    expect(leaves(many, (peerId) => peerId === 'guest 0')?.leaves).toBe('guest 1')
    expect(room(directory, entry('x', ['m']), { guests: many })).toBeUndefined()
  })

  test('has room for those from where there are few, at the cost of where there are most', () => {
    const of = (peerId: string) => entry(peerId, ['1a'], { net: peerId.slice(0, 1) })
    const directory = directoryOf(...['1a', '1b', '1c', '2a', '2b'].map(of))
    const leaves = (newcomer: string, stays = nobody as (peerId: string) => boolean) =>
      room(directory, of(newcomer), { stays })?.leaves
    expect(leaves('3x')).toBe('1c')
    expect(leaves('3x', (peerId) => peerId === '1c')).toBe('1b')
    expect(leaves('2x')).toBeUndefined()
    expect(leaves('1x')).toBeUndefined()
  })
})

describe('archives in a full directory', () => {
  const archive = (peerId: string, net = '1') => entry(peerId, ['m'], { net, roles: ['archive'] })
  const others = ['a', 'b', 'c'].map((peerId) => entry(peerId, ['m'], { net: '1' }))
  const room = (listed: DirectoryEntry[], newcomer: DirectoryEntry) =>
    whoMakesRoom(
      { directory: directoryOf(...listed), guests: new Set(), stays: () => false },
      { advert: newcomer.advert, net: newcomer.net ?? '' },
    )?.leaves
  const some = (count: number) => Array.from({ length: count }, (_, n) => archive(`archive ${n}`))

  test('have a place while there are few, and keep it', () => {
    expect(room(others, archive('x'))).toBe('a')
    expect(room([...some(3), ...others], archive('x'))).toBe('a')
    expect(room([...some(4), ...others], archive('x'))).toBeUndefined()
    expect(room([...others, ...some(4)], archive('x', '2'))).toBe('c')
    expect(room(some(4), archive('x', '2'))).toBeUndefined()
    expect(room(some(5), archive('x', '2'))).toBe('archive 4')
  })
})

describe('who is watched', () => {
  const directory = directoryOf(
    entry('a', ['m']),
    entry('b', ['m']),
    entry('client', []),
    entry('c', ['n']),
  )
  const choose = (wanted: string[], watched: string[], limit: number) => [
    ...chooseWatched(directory, { wanted, watched: new Set(watched), limit }),
  ]

  test('everybody with a model, while there is room', () => {
    expect(choose([], [], 9)).toEqual(['a', 'b', 'c'])
  })

  test('the wanted first, then those that are watched already', () => {
    expect(choose(['client'], ['c'], 2)).toEqual(['client', 'c'])
    expect(choose([], ['c', 'b'], 2)).toEqual(['b', 'c'])
    expect(choose(['c', 'b', 'a'], ['a'], 2)).toEqual(['c', 'b'])
  })

  test('then whoever will have one: its models are still loading', () => {
    const young = entry('young', [])
    const loading = { ...young, advert: { ...young.advert, roles: ['provider'] } }
    const both = directoryOf(entry('client', []), loading, entry('a', ['m']))
    const wishes = { wanted: [], watched: new Set<string>(), limit: 9 }
    expect([...chooseWatched(both, wishes)]).toEqual(['a', 'young'])
  })

  test('nobody who is not listed', () => {
    expect(choose(['gone'], ['gone too'], 9)).toEqual(['a', 'b', 'c'])
  })
})
