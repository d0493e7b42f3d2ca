import assert from 'node:assert/strict'
import type { Recording } from './recording.ts'
import type { Running, Terminal } from './terminal.ts'

export interface Scene {
  recording: Recording
  one: Terminal
  two: Terminal
  /** What is typed to have the package here. */
  install: string
  /** Of the second peer. */
  ports: { http: number; listen: number }
  upstream: { url: string; what: string; says: RegExp }
}

const ask = 'npx pinaivu-peer chat'
const demoReady = /^ready .*demo in .*\n[\s\S]*^ready .*embed in .*\n/m
const holds = /^All of it holds\./

/** What a new user does, one command after the other. Throws where one of them does not do its work. */
export async function journey(scene: Scene): Promise<void> {
  const { recording, one, two, install } = scene
  recording.note('An empty folder')
  await one.types(install, /added \d+ packages/)

  recording.note('A peer, with the model that comes along')
  const first = await one.starts('npx pinaivu-peer start', demoReady)

  recording.note('In a second terminal')
  await one.types(`echo 'What is a peer?' | ${ask} --temperature 0 > answer.txt`)
  await one.types('cat answer.txt', /A peer is one running process/)
  await one.types('npx pinaivu-peer receipts list', /final .* pinaivu-demo .* ok/)
  const cid = await newestReceipt(one)
  await one.types(`npx pinaivu-peer receipts export ${cid} proof.json`)

  recording.note('A model from a hub (one on this machine stands in for Hugging Face)')
  await one.types('npx pinaivu-peer models pull tiny=hf:pinaivu/tiny-GGUF:Q8_0')
  await one.types('npx pinaivu-peer models list', /tiny/)
  await first.interrupt()
  const second = await one.starts(
    'npx pinaivu-peer start --demo --model tiny',
    /^ready .*tiny in /m,
  )

  recording.note(`A second peer, with ${scene.upstream.what} behind it`)
  two.exports({
    PINAIVU_DATA_DIR: 'two',
    PINAIVU_HTTP: `127.0.0.1:${scene.ports.http}`,
    PINAIVU_LISTEN: `/ip4/127.0.0.1/tcp/${scene.ports.listen}`,
  })
  const door = /\/ip4\/\S+\/p2p\/\w+/.exec(second.shown())?.[0]
  const other = await two.starts(
    `npx pinaivu-peer start --bootstrap ${door} --upstream llama=${scene.upstream.url}`,
    /^joined [\s\S]*^ready .*llama in |^ready .*llama in [\s\S]*^joined /m,
  )
  await two.waits('npx pinaivu-peer models', /tiny +network/)
  await two.types('npx pinaivu-peer models', /tiny +network/)
  await two.types(`${ask} tiny 'Hello' --temperature 0`, /\w/)
  await one.waits('npx pinaivu-peer models', /llama +network/)
  await one.types(`${ask} llama 'What is a node?' --temperature 0`, scene.upstream.says)
  await two.types('npx pinaivu-peer receipts list', /tiny/)
  await returns(scene, { second, other }, cid)
}

interface Peers {
  second: Running
  other: Running
}

/** All is lost, and comes back. */
async function returns({ recording, one }: Scene, peers: Peers, cid: string): Promise<void> {
  const keyFile = '~/.local/share/pinaivu/owner.key'
  recording.note('All that the peer keeps, while it runs')
  await one.types('head -c 18 /dev/urandom | base64 > passphrase')
  await one.types('npx pinaivu-peer backup peer.backup --passphrase-file passphrase', /^Written/)
  const key = await one.reads(`cat ${keyFile}`)
  await peers.second.interrupt()

  recording.note('The disk is lost')
  await one.types('rm -rf ~/.local/share/pinaivu')
  await one.types('npx pinaivu-peer restore peer.backup --passphrase-file passphrase')
  const third = await one.starts('npx pinaivu-peer start', demoReady)
  assert.equal(idIn(third), idIn(peers.second), 'the peer is another one')
  assert.equal(await one.reads(`cat ${keyFile}`), key, 'the owner has another key')

  recording.note('What it answered before is proved by the peer, and by the file alone')
  await one.types(`npx pinaivu-peer receipts verify ${cid} | head -1`, holds)
  await third.interrupt()
  await peers.other.interrupt()
  await one.types('npx pinaivu-peer receipts verify proof.json --answer answer.txt', holds)
}

const idIn = (peer: Running): string | undefined => /Peer id +(\w+)/.exec(peer.shown())?.[1]

async function newestReceipt(terminal: Terminal): Promise<string> {
  const [newest] = JSON.parse(await terminal.reads('npx pinaivu-peer receipts list --json'))
  return newest.cid
}
