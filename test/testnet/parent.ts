import { startTestnet } from '../../testnet/index.ts'

// A program that runs a testnet, tells the processes of its peers, and never stops them.

const testnet = await startTestnet({
  peers: 3,
  programPath: process.argv[2] ?? '',
  env: process.env,
  signal: new AbortController().signal,
})
process.send?.(testnet.peers.map(({ pid }) => pid))
