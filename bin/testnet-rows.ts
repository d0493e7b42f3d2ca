import type { PeerFigures, TestnetPeer } from '../testnet/index.ts'
import type { LiveLine } from './live-lines.ts'
import { shortId } from './network-peers.ts'
import { type Colour, type Column, noPaint, table } from './text.ts'

/** What a peer that was asked said last; one that is frozen, or very late, says nothing. */
export type Said = PeerFigures | 'nothing'
/** A peer of the testnet, and what it said if it was asked. */
export type TestnetRow = readonly [peer: TestnetPeer, said: Said | undefined]

const columns: readonly Column[] = [
  { title: 'NAME' },
  { title: 'STATE' },
  { title: 'REGION' },
  { title: 'SERVES', shrink: true },
  { title: 'RUNNING', align: 'right' },
  { title: 'TOK/S', align: 'right' },
  { title: 'REQUESTS', align: 'right' },
  { title: 'FAULTS', align: 'right' },
  { title: 'PEER ID' },
  { title: 'ROLES', shrink: true },
]

/** A table of the peers of a testnet. */
export function testnetLines(rows: readonly TestnetRow[], width: number): LiveLine[] {
  const [title = '', ...lines] = table(columns, rows.map(cellsOf), width, noPaint)
  return [
    { text: title, colour: 'bold' },
    ...rows.map((row, i): LiveLine => ({ text: lines[i] ?? '', colour: colours[stateOf(row)] })),
  ]
}

function cellsOf(row: TestnetRow): string[] {
  const [peer, said] = row
  const figures = figuresOf(said)
  const id = peer.ready?.peerId
  const known = (text: (figures: PeerFigures) => string) =>
    figures === undefined ? '-' : text(figures)
  return [
    peer.name,
    stateOf(row),
    peer.region ?? '-',
    known(({ serves }) => serves.join(', ') || '-'),
    known(({ running, queued }) => (queued === 0 ? `${running}` : `${running} +${queued}`)),
    known(({ tokensPerSecond }) => tokensPerSecond.toFixed(1)),
    known(({ requests }) => String(requests)),
    known(({ faults }) => String(faults)),
    id === undefined ? '-' : shortId(id),
    peer.roles.join(', '),
  ]
}

const figuresOf = (said: Said | undefined): PeerFigures | undefined =>
  said === 'nothing' ? undefined : said

const stateOf = ([{ state }, said]: TestnetRow): string =>
  state === 'up' && said === 'nothing' ? 'silent' : state

const colours: Readonly<Record<string, Colour>> = { down: 'red', silent: 'yellow' }

/** All peers together, in one line. What one writes, another only passes on. */
export function testnetSummary(rows: readonly TestnetRow[]): string {
  const known = rows.flatMap(([, said]) => figuresOf(said) ?? [])
  const serving = known.filter(({ serves }) => serves.length > 0)
  const sum = (list: readonly PeerFigures[], of: (figures: PeerFigures) => number) =>
    list.reduce((total, figures) => total + of(figures), 0)
  const parts = [
    `${rows.filter((row) => stateOf(row) === 'up').length} of ${rows.length} up`,
    `${sum(serving, ({ running }) => running)} running`,
    `${sum(serving, ({ tokensPerSecond }) => tokensPerSecond).toFixed(1)} tok/s`,
    `faults: ${sum(known, ({ faults }) => faults)}`,
  ]
  return parts.join(', ')
}
