import type { Command } from './command.ts'
import { columnsOf, exitCodes, type Io, print, tableWidthOf } from './io.ts'
import { durationText } from './model-text.ts'
import {
  hardwareText,
  type KnownPeers,
  loadOf,
  loadText,
  type NetworkPeer,
  priceText,
  readPeers,
  rttText,
  shortId,
} from './network-peers.ts'
import { type Joining, readState, waysToJoin } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, paintFor, safeJson, safeLine, table, wrap } from './text.ts'

export const peers: Command = {
  name: 'peers',
  summary: 'List the peers of the network that the running peer knows, and what they offer.',
  options: [],
  details: [
    'Region and hardware are what each peer declares. LOAD is running jobs and slots, and behind ' +
      'a plus what waits; PRICE is micro-credits per 1,000 tokens read and written; RTT is ' +
      'measured; HEARD is how long ago the peer itself gave a sign of life.',
  ],
  examples: [
    ['pinaivu-peer peers', 'Who is there, where, with what'],
    ['pinaivu-peer peers --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const { client } = await requirePeer(input.dataDir, io.signal)
    const known = await readPeers(client, io.signal)
    if (input.json) print(io.stdout, safeJson([known.self, ...known.others]))
    else if (known.others.length > 0) print(io.stdout, ...peerLines(known, io))
    else {
      const { network } = await readState(client, io.signal)
      print(io.stdout, ...wrap(aloneText(network), columnsOf(io.stdout)))
    }
    return exitCodes.done
  },
}

/** Whatever a peer says of itself, it gets no more of a line than this. */
const claimWidthMax = 40
const figureWidthMax = 16
const idWidthMax = 64

const columns: readonly Column[] = [
  { title: 'ID', widthMax: idWidthMax },
  { title: 'REGION', widthMax: figureWidthMax },
  { title: 'HARDWARE', widthMax: claimWidthMax, shrink: true },
  { title: 'MODELS', widthMax: claimWidthMax, shrink: true },
  { title: 'LOAD', widthMax: figureWidthMax, align: 'right' },
  { title: 'PRICE', widthMax: claimWidthMax, align: 'right' },
  { title: 'RTT', widthMax: figureWidthMax, align: 'right' },
  { title: 'HEARD', widthMax: figureWidthMax, align: 'right' },
]

function aloneText(joining: Joining): string {
  const ways = waysToJoin(joining)
  return ways === ''
    ? 'This peer knows no other, as it was not told how to join. Start it with --mdns, or with ' +
        '--bootstrap and the address of another one, which that one\'s "status" shows under Listening.'
    : `This peer knows no other yet. It joins through ${ways}. The others must be started with ` +
        `--network ${safeLine(joining.name)} too, and no firewall may be in between; what fails is ` +
        'said in its log.'
}

function peerLines({ self, others, more }: KnownPeers, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  // A pipe has room for what can be given to other commands.
  const whole = io.stdout.isTTY !== true
  const rows = [self, ...others].map((peer) => cellsOf(peer, whole))
  return [
    ...table(columns, rows, tableWidthOf(io.stdout), paint),
    ...(more > 0 ? [`… and ${more} more`] : []),
    '',
    paint('dim', 'Region and hardware are as each peer declares them.'),
  ]
}

function cellsOf(peer: NetworkPeer, whole: boolean): string[] {
  const { node, self, models } = peer
  return [
    whole ? node : shortId(node),
    peer.region ?? '-',
    hardwareText(peer.hardware),
    models.map(({ id }) => id).join(', ') || '-',
    loadText(loadOf(models)),
    priceText(models.map(({ price }) => price)),
    self ? 'this peer' : rttText(peer.rtt_ms),
    self ? '-' : durationText(peer.evidence_age_s),
  ]
}
