import type { Command } from './command.ts'
import { exitCodes, type Io, print } from './io.ts'
import { bytesText, durationText } from './model-text.ts'
import { modelLines } from './models.ts'
import {
  hardwareText,
  type KnownPeers,
  loadOf,
  loadText,
  priceText,
  readPeers,
} from './network-peers.ts'
import { type OfferedModel, offeredModels } from './offered-models.ts'
import { type PeerState, readOffers, readState } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { labelled, paintFor, safeJson, safeLine } from './text.ts'

export const status: Command = {
  name: 'status',
  summary: 'Show the health of the running peer, its place in the network and its models.',
  options: [],
  examples: [
    ['pinaivu-peer status', 'At a glance'],
    ['pinaivu-peer status --json', 'For programs: one JSON object'],
  ],
  async run(input, io) {
    const { client, info } = await requirePeer(input.dataDir, io.signal)
    const [state, offers, peers] = await Promise.all([
      readState(client, io.signal),
      readOffers(client, io.signal),
      readPeers(client, io.signal),
    ])
    const facts = { http: client.url, pid: info.pid, data_dir: input.dataDir }
    const { region, roles, hardware } = peers.self
    const models = offeredModels(offers, state.models, [peers.self, ...peers.others])
    if (input.json) print(io.stdout, safeJson({ ...state, region, roles, hardware, ...facts }))
    else print(io.stdout, ...statusLines({ state, peers, models, facts }, io))
    return exitCodes.done
  },
}

const priceUnit = 'micro-credits per 1,000 tokens read/written'

interface Status {
  state: PeerState
  peers: KnownPeers
  models: readonly OfferedModel[]
  facts: { http: string; pid: number; data_dir: string }
}

function statusLines({ state, peers, models, facts }: Status, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  const { network } = state
  const { self } = peers
  const health = state.ready ? paint('green', 'ready') : paint('yellow', 'not ready')
  const reason = state.ready ? '' : `: ${whyNot(state)}`
  const work: [label: string, values: readonly string[]][] = [
    ['Load', [loadText(loadOf(self.models))]],
    ['Price', [`${priceText(self.models.map(({ price }) => price))} ${priceUnit}`]],
  ]
  const rows: [label: string, values: readonly string[]][] = [
    ['Peer id', [network.peer_id]],
    ['Listening', network.listening ? network.addrs : ['no']],
    ...(network.nat === undefined || network.nat.verdict === 'unknown'
      ? []
      : [row('Reached', natText(network.nat))]),
    ['Region', [self.region === null ? 'not declared' : `${self.region}, as declared`]],
    ['Roles', [self.roles.join(', ')]],
    ['Hardware', [hardwareText(self.hardware)]],
    ...(self.models.length === 0 ? [] : work),
    ['Network', [networkText(state)]],
    ['Endpoint', [`${facts.http}/v1`]],
    ['Data', [facts.data_dir]],
    ['Process', [`${facts.pid}, ${bytesText(state.memory_bytes)} without the engine`]],
  ]
  const title = paint('bold', safeLine(`pinaivu-peer ${state.version}`))
  return [
    `${title}  ${health}${reason}, up for ${durationText(state.uptime_s)}`,
    '',
    ...labelled(rows, paint),
    '',
    ...modelLines(models, io),
  ]
}

const whyNot = ({ storage }: PeerState): string =>
  storage === 'failed'
    ? 'the disk takes nothing more; make room and start the peer again'
    : 'no model can answer yet'

const row = (label: string, value: string): [string, readonly string[]] => [label, [value]]

function natText({ verdict, relays }: NonNullable<PeerState['network']['nat']>): string {
  if (verdict === 'public') return 'by anybody, straight'
  if (relays.length > 0) return `behind a NAT or firewall; through ${counted(relays.length)}`
  return 'behind a NAT or firewall, and no relay was found; only peers that this one dials use it'
}

const counted = (count: number): string => (count === 1 ? '1 relay' : `${count} relays`)

function networkText({ network }: PeerState): string {
  const { name, connections, directory } = network
  if (directory.peers === 0 && connections === 0)
    return `${name}; no other peer is known (see "pinaivu-peer peers")`
  return `${name}; ${directory.peers} known, ${connections} connected`
}
