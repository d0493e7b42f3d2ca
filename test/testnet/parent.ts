import { startTestnet } from '../../testnet/index.ts'

// A program that runs a testnet, tells the processes of its peers, and never stops them.

const [, , programPath = '', dir = ''] = process.argv
const testnet = await startTestnet({
  peers: 3,
  programPath,
  dir,
  env: process.env,
  signal: new AbortController().signal,
})
process.send?.(testnet.peers.map(({ pid }) => pid))
