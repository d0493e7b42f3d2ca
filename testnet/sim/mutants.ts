import type { Rule } from './verdicts.ts'

/** A fault planted in the code, and what the simulation must say of it. */
export interface Mutant {
  name: string
  file: string
  /** Stands in the file just once. */
  from: string
  to: string
  /** The rules of which one must be broken. */
  rules: readonly Rule[]
}

/** So that it is known that the simulation would find them: each is caught by it. */
export const mutants: readonly Mutant[] = [
  {
    name: 'a token index that is one too high',
    file: 'src/market/remote/answer-check.ts',
    from: 'choice, index: first, ids, text }',
    to: 'choice, index: first + (first > 40 ? 1 : 0), ids, text }',
    rules: ['answers are what the model said'],
  },
  {
    name: 'a hostile provider whose frames are not counted',
    file: 'src/market/remote/answer-check.ts',
    from: 'if (first !== known.from + known.tokens || known.isOver) {',
    to: 'if (known.isOver) {',
    rules: ['answers are what the model said'],
  },
  {
    name: 'an answer that is acknowledged before it is on the disk',
    file: 'src/receipts/feeds/own-feed.ts',
    from: '    await store.commit(rows)\n    counted.written()',
    to: '    void store.commit(rows)\n    counted.written()',
    rules: ['nothing acknowledged is lost', 'prices add up'],
  },
  {
    name: 'a price that is rounded down',
    file: 'src/market/quote.ts',
    from: 'thousandths + 999n',
    to: 'thousandths',
    rules: ['prices add up'],
  },
  {
    name: 'a departed peer that hearsay revives',
    file: 'src/network/discovery/advert-exchange.ts',
    from: '        if (!network.isConnected(peerId)) await this.#connect(peerId, addresses, signal)\n',
    to: `        const told = await network.getRecord(ADVERT_RECORD, peerId, { signal })
        if (told !== undefined) {
          roster.admit(openAdvert(told, { ...this.#opening, from: peerId }))
          return
        }
        if (!network.isConnected(peerId)) await this.#connect(peerId, addresses, signal)\n`,
    rules: ['nobody sees a ghost'],
  },
  {
    name: 'a silent provider that nobody leaves',
    file: 'src/market/remote/remote-run.ts',
    from: "Math.min(heardBy, this.#nextBy, this.#state === 'begun' ? doneBy : firstTokenBy)",
    to: "Math.max(heardBy, this.#state === 'begun' ? doneBy : firstTokenBy)",
    rules: ['requests end in time'],
  },
  {
    name: 'an archive that asks nobody',
    file: 'src/receipts/sync/archive-rounds.ts',
    from: '    if (this.#busy.has(peerId)) return\n',
    to: '    if (peerId !== undefined) return\n',
    rules: ['logs converge'],
  },
]
