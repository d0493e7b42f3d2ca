import type { Command } from './command.ts'
import { exitCodes, type Io, print } from './io.ts'
import { bytesText, durationText } from './model-text.ts'
import { modelLines } from './models.ts'
import { type PeerState, readState } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { labelled, paintFor, safeJson, safeLine } from './text.ts'

export const status: Command = {
  name: 'status',
  summary: 'Show the health of the running peer, its addresses, connections and models.',
  options: [],
  examples: [
    ['pinaivu-peer status', 'At a glance'],
    ['pinaivu-peer status --json', 'For programs: one JSON object'],
  ],
  async run(input, io) {
    const { client, info } = await requirePeer(input.dataDir, io.signal)
    const state = await readState(client, io.signal)
    const facts = { http: client.url, pid: info.pid, data_dir: input.dataDir }
    if (input.json) print(io.stdout, safeJson({ ...state, ...facts }))
    else print(io.stdout, ...statusLines(state, facts, io))
    return exitCodes.done
  },
}

interface Facts {
  http: string
  pid: number
  data_dir: string
}

function statusLines(state: PeerState, facts: Facts, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  const { network, models } = state
  const health = state.ready ? paint('green', 'ready') : paint('yellow', 'not ready')
  const reason = state.ready ? '' : ': no model can answer yet'
  const connections = network.connections === 1 ? '1 peer' : `${network.connections} peers`
  const rows: [label: string, values: readonly string[]][] = [
    ['Peer id', [network.peer_id]],
    ['Listening', network.listening ? network.addrs : ['no']],
    ['Connected', [connections]],
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
