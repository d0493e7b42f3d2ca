import type { Clock } from '../../src/base/clock.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import { frames } from '../market/coordinator-stage.ts'
import type { Writer } from '../market/failover/writer.ts'
import type { Line } from '../market/provider-line.ts'

export interface Conduct {
  line: Line
  /** Knows the right answer, and how to say it. */
  writer: Writer
  clock: Clock
}

/** What a provider does with a job that it does not mean to do. */
export interface ProviderAttack {
  name: string
  serve(conduct: Conduct): Promise<void>
}

type Serve = ProviderAttack['serve']

const attack = (name: string, serve: Serve): ProviderAttack => ({ name, serve })

/** Until nobody listens any more. */
const gone = ({ stream: { ended } }: Line) =>
  new Promise<void>((resolve) => {
    if (ended.aborted) resolve()
    ended.addEventListener('abort', () => resolve(), { once: true })
  })

async function every(ms: number, { line, clock }: Conduct, act: () => void): Promise<void> {
  const { ended } = line.stream
  while (!ended.aborted) {
    act()
    await clock.sleep(ms, ended).catch(() => {})
  }
}

/** Accepts and writes so many frames. */
function begin({ writer }: Conduct, count = 0): void {
  writer.accept()
  for (let n = 0; n < count; n++) writer.next()
}

function writeAll(conduct: Conduct): void {
  begin(conduct)
  while (conduct.writer.next());
}

/** Says this and waits for what becomes of it. */
const thenWaits =
  (say: (conduct: Conduct) => void): Serve =>
  async (conduct) => {
    say(conduct)
    await gone(conduct.line)
  }

/** Behind an honest beginning of so many frames. */
const says = (count: number, ...said: (FromProvider | Uint8Array)[]): Serve =>
  thenWaits((conduct) => {
    begin(conduct, count)
    const { line } = conduct
    line.signs = false
    for (const each of said) {
      if (each instanceof Uint8Array) line.stream.write(each)
      else line.say(each)
    }
  })

const { tokens, progress } = frames
const FAR = 1_000_000
const garbage = Uint8Array.of(0xff, 0xff, 0xff)
const tokensOf = (more: Partial<Extract<FromProvider, { type: 'tokens' }>>) =>
  ({ ...tokens(0, ['a']), ...more }) as FromProvider

/** Silence, or as good as that, at each point of an answer. */
export const stallers: ProviderAttack[] = [
  attack('stalls before it accepts', ({ line }) => gone(line)),
  attack('stalls behind its Accept', thenWaits(begin)),
  attack(
    'stalls behind the first token',
    thenWaits((conduct) => begin(conduct, 1)),
  ),
  attack(
    'stalls behind some tokens',
    thenWaits((conduct) => begin(conduct, 3)),
  ),
  attack('stalls before Done', thenWaits(writeAll)),
  attack('shows progress for ever', async (conduct) => {
    begin(conduct)
    await every(500, conduct, () => conduct.line.say(progress()))
  }),
  attack('shows progress for ever behind the first token', async (conduct) => {
    begin(conduct, 1)
    await every(500, conduct, () => conduct.line.say(progress()))
  }),
  attack('says each frame a moment before it is too late', async (conduct) => {
    const { clock, line, writer } = conduct
    await clock.sleep(1_900, line.stream.ended)
    writer.accept()
    await clock.sleep(2_900, line.stream.ended)
    let more = true
    await every(2_900, conduct, () => {
      if (more) more = writer.next()
      else writer.done()
    })
  }),
]

/** It goes away at each point of an answer. */
export const leavers: ProviderAttack[] = [
  attack('ends the stream at once', async () => {}),
  attack('resets behind its Accept', async (conduct) => {
    begin(conduct)
    await conduct.clock.sleep(50, conduct.line.stream.ended)
    conduct.line.stream.reset(new Error('Gone.'))
  }),
  attack('resets behind some tokens', async (conduct) => {
    begin(conduct, 2)
    await conduct.clock.sleep(50, conduct.line.stream.ended)
    conduct.line.stream.reset(new Error('Gone.'))
  }),
  attack('breaks down behind some tokens', says(2, frames.failed('engine_failed'))),
  attack('stops behind some tokens', says(2, frames.done(6, { finish: ['cancelled'] }))),
]

/** It says what no answer has. */
export const babblers: ProviderAttack[] = [
  attack(
    'sends tokens before it accepts',
    thenWaits(({ writer }) => void writer.next()),
  ),
  attack('sends frames that are none', says(0, garbage)),
  attack('sends frames that are none behind some tokens', says(2, garbage)),
  attack(
    'leaves tokens out',
    thenWaits((conduct) => {
      begin(conduct, 1)
      conduct.line.say(tokens(conduct.line.from() + FAR, ['a']))
    }),
  ),
  attack(
    'says tokens twice',
    thenWaits((conduct) => {
      begin(conduct, 1)
      conduct.line.say(tokens(conduct.line.from(), ['a']))
    }),
  ),
  attack(
    'says later tokens first',
    thenWaits((conduct) => {
      begin(conduct)
      const from = conduct.line.from()
      conduct.line.say(tokens(from + 3, ['b']), tokens(from, ['a']))
    }),
  ),
  attack('writes another choice', says(1, tokens(0, ['a'], 1))),
  attack('writes more text than tokens hold', says(0, tokensOf({ text: 'a'.repeat(30_000) }))),
  attack('writes text without tokens', says(1, tokensOf({ ids: [], text: 'a', first: 3 }))),
  attack(
    'scores what nobody wants scored',
    says(0, tokensOf({ logprobs: [{ token: 'a', bytes: [97], logprob: Number.NaN, top: [] }] })),
  ),
  attack(
    'writes more than was asked for',
    thenWaits((conduct) => {
      begin(conduct, 1)
      const { line, writer } = conduct
      line.say(tokens(line.from() + writer.written, Array(60).fill('a')))
    }),
  ),
  attack('accepts again and again', says(0, frames.accept(), frames.accept())),
  attack('refuses what it has begun', says(2, frames.refuse('overloaded'))),
  attack(
    'counts a prompt that nobody sent',
    thenWaits(({ line }) => line.say(frames.accept(FAR))),
  ),
  attack(
    'shows a huge progress, and no more',
    says(0, {
      ...{ type: 'progress', queued: 0xffff_ffff, prefilled: 0xffff_ffff },
      ...{ total: 1, inputTokens: 5 },
    }),
  ),
  attack('floods with progress', async (conduct) => {
    begin(conduct)
    await every(100, conduct, () => {
      for (let n = 0; n < 50; n++) conduct.line.say(progress(n))
    })
  }),
]

/** It counts or signs what is not so. */
export const forgers: ProviderAttack[] = [
  attack(
    'counts tokens that it did not send',
    thenWaits((conduct) => {
      writeAll(conduct)
      conduct.line.signs = false
      conduct.line.say(frames.done(FAR))
    }),
  ),
  attack(
    'counts fewer than it sent',
    thenWaits((conduct) => {
      writeAll(conduct)
      conduct.line.signs = false
      conduct.line.say(frames.done(1))
    }),
  ),
  attack(
    'signs with what is no signature',
    ending((done) => {
      if (done.receipt) done.receipt.signature = done.receipt.signature.toReversed()
    }),
  ),
  attack(
    'signs another answer',
    thenWaits((conduct) => {
      writeAll(conduct)
      // Into what it signs, and not onto the stream.
      conduct.line.signed(tokens(0, ['another']))
      conduct.writer.done()
    }),
  ),
  attack(
    'asks for more units than it counts',
    ending((done) => {
      if (done.receipt) done.receipt.meteringUnits *= 2
    }),
  ),
  attack(
    'gives an entry that is none',
    ending((done) => {
      done.entry = garbage
    }),
  ),
  attack(
    'signs a false beginning',
    says(0, {
      ...(frames.accept() as Extract<FromProvider, { type: 'accept' }>),
      openSignature: new Uint8Array(64).fill(7),
    }),
  ),
  attack('signs false segments, and leaves', async (conduct) => {
    begin(conduct, 2)
    const [resultHash, signature] = [new Uint8Array(32).fill(1), new Uint8Array(64).fill(1)]
    conduct.line.say({ type: 'segment', end: 6, units: 11, resultHash, signature })
    await conduct.clock.sleep(50, conduct.line.stream.ended)
    conduct.line.stream.reset(new Error('Gone.'))
  }),
  attack(
    'counts a segment that it did not write',
    says(2, {
      ...{ type: 'segment', end: 600, units: 605 },
      ...{ resultHash: new Uint8Array(32), signature: new Uint8Array(64) },
    }),
  ),
  attack(
    'asks for more than was agreed',
    says(0, {
      ...(frames.accept() as Extract<FromProvider, { type: 'accept' }>),
      price: { input: 0, output: 1_000 },
    }),
  ),
  attack(
    'says that it goes on elsewhere than it was to',
    thenWaits((conduct) => {
      const accept = frames.accept() as Extract<FromProvider, { type: 'accept' }>
      conduct.line.say({ ...accept, resumedAt: [conduct.line.from() + 1] })
      conduct.writer.next()
    }),
  ),
]

/** Everything up to the end is honest. */
function ending(spoil: (done: Extract<FromProvider, { type: 'done' }>) => void): Serve {
  return thenWaits((conduct) => {
    writeAll(conduct)
    const done = conduct.line.signed(frames.done(conduct.writer.written))
    if (done.type !== 'done') return
    // What it has signed is also in its own entry.
    const own = { ...done, ...(done.receipt && { receipt: { ...done.receipt } }) }
    spoil(own)
    conduct.line.say(own)
  })
}

const refusing = (code: string, retryAfterMs = 0): ProviderAttack =>
  attack(`refuses every job: ${code}`, async ({ line }) =>
    line.say(frames.refuse(code, { retryAfterMs })),
  )

/** It does the work, and nobody can prove that: it is not paid, and does no harm. */
export const unsigned: ProviderAttack = attack('signs nothing', async (conduct) => {
  conduct.line.signs = false
  writeAll(conduct)
  conduct.writer.done()
  await gone(conduct.line)
})

/** It keeps others from being asked, or would have them wait. */
export const refusers: ProviderAttack[] = [
  refusing('overloaded'),
  refusing('overloaded', 3_600_000),
  refusing('allowance'),
  refusing('invalid_value'),
  refusing('context_length_exceeded'),
  refusing('price_too_low'),
  refusing('publishes_none'),
  refusing('draining'),
  refusing('moon'),
  attack('begins, and calls the rest impossible', says(1, frames.failed('invalid_value'))),
]

export const providerAttacks: ProviderAttack[] = [
  ...stallers,
  ...leavers,
  ...babblers,
  ...forgers,
  unsigned,
  ...refusers,
]
