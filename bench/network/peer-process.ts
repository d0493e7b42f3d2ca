/**
 * A whole peer. The first argument says with which models: `instant`, `demo` or `none`; the second
 * through whom it joins the network.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPeer, readConfig } from '../../src/index.ts'
import { instantEngine } from './engine.ts'
import { NETWORK } from './network-name.ts'

export interface Announced {
  http: string
  key: string
  address: string
}

export interface Spent {
  cpuMicroseconds: number
}

const [models, bootstrap] = process.argv.slice(2)
const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-peer-'))
const config = readConfig({
  flags: {
    'data-dir': dataDir,
    network: NETWORK,
    http: '127.0.0.1:0',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    threads: '1',
    ...(models === 'demo' ? { demo: true } : { 'no-demo': true }),
    ...(models === 'none' ? { roles: 'coordinator' } : {}),
    ...(bootstrap === undefined ? {} : { bootstrap: [bootstrap] }),
  },
  env: {},
})
const peer = await createPeer(config, models === 'instant' ? { engine: instantEngine } : {})
await peer.start({ signal: new AbortController().signal })
process.once('disconnect', async () => {
  await peer.stop()
  await rm(dataDir, { recursive: true })
  process.exit()
})
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicroseconds: user + system } satisfies Spent)
})
const { http, apiKey: key, addrs } = peer.ready()
process.send?.({ http: String(http), key, address: String(addrs[0]) } satisfies Announced)
