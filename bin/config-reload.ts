import { explainConfig, lockHolder, messageOf, type PeerInfo, readPeerInfo } from '../src/index.ts'
import type { Command } from './command.ts'
import { CommandError, exitCodes, print } from './io.ts'
import { readState } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { safeJson } from './text.ts'

export const configReload: Command = {
  name: 'config reload',
  summary: 'Have the running peer read config.toml again, without a restart.',
  options: [],
  details: [
    'Price, credit limit, aliases and log level count at once; jobs that run keep the price they ' +
      'were accepted at. Of everything else that is different the log says that it needs a restart. ' +
      'With a mistake in the file nothing changes. The signal SIGHUP does the same.',
  ],
  examples: [
    ['pinaivu-peer config set price 40/120', 'First change something'],
    ['pinaivu-peer config reload', 'Then have it count'],
  ],
  async run({ dataDir, json }, io) {
    if (process.platform === 'win32') {
      throw new CommandError('Windows has no signal for this. Restart the peer instead.')
    }
    // Told here, where somebody reads it, and not only in the log.
    explainConfig({ flags: { 'data-dir': dataDir }, env: {} })
    const { pid } = await surePeer(dataDir, io.signal)
    try {
      process.kill(pid, 'SIGHUP')
    } catch (cause) {
      throw new CommandError(`Process ${pid} cannot be told: ${messageOf(cause)}.`, { cause })
    }
    const told = `The peer (process ${pid}) reads its configuration again. Its log says what is new.`
    print(io.stdout, json ? safeJson({ pid }) : told)
    return exitCodes.done
  },
}

/** Its process: after a crash the number in the file may be another program's, which would be ended. */
async function surePeer(dataDir: string, signal: AbortSignal): Promise<PeerInfo> {
  const noted = await readPeerInfo(dataDir).catch(() => undefined)
  if (noted !== undefined && (await lockHolder(dataDir)) === noted.pid) return noted
  const { info, client } = await requirePeer(dataDir, signal)
  const { network } = await readState(client, signal)
  if (network.peer_id === info.peerId) return info
  throw new CommandError(`What answers at ${client.url} is the peer of another data folder.`)
}
