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
const start = 'npx pinaivu-peer start'
const demoReady = [/^ready .*demo in .*\n/m, /^ready .*embed in .*\n/m]
const joined = /^joined .*\n/m
const holds = /^All of it holds\./

/** What a new user does, one command after the other. Throws where one of them does not do its work. */
export async function journey(scene: Scene): Promise<void> {
  const { recording, one, two } = scene
  recording.note('An empty folder')
  await one.installs(scene.install)

  recording.note('A peer, with the model that comes along')
  const first = await one.starts(start, demoReady)

  recording.note('In a second terminal')
  await one.types(`echo 'What is a peer?' | ${ask} --temperature 0 > answer.txt`)
  await one.types('cat answer.txt', /A peer is one running process/)
  await one.types('npx pinaivu-peer receipts list', /final .* pinaivu-demo .* ok/)
  const cid = await newestReceipt(one)
  await one.types(`npx pinaivu-peer receipts export ${cid} proof.json | head -1`, /^Written/)

  recording.note('A model from a hub: here one on this machine, in the place of Hugging Face')
  const pull = 'npx pinaivu-peer models pull tiny=hf:pinaivu/tiny-GGUF:Q8_0'
  await one.types(pull, /tiny .* is stored/)
  await one.types('npx pinaivu-peer models list', /^tiny .* yes /m)

  recording.note('Ctrl-C where the peer runs, and again with that model')
  await first.interrupt()
  const withTiny = [/^ready .*tiny in .*\n/m, ...demoReady]
  const second = await one.starts(`${start} --demo --model tiny`, withTiny, { brief: true })
  const other = await joins(scene, second)

  recording.note('Each is asked for what the other one has')
  await two.waits('npx pinaivu-peer models', /^tiny +network/m)
  await two.types('npx pinaivu-peer models', /^tiny +network/m)
  await two.types(`${ask} tiny 'Hello' --temperature 0`, /^Hello/)
  await one.waits('npx pinaivu-peer models', /^llama +network/m)
  await one.types(`${ask} llama 'What is a peer?' --temperature 0`, scene.upstream.says)
  await two.types('npx pinaivu-peer receipts list --model tiny', /final .* tiny .* ok/)
  await returns(scene, { second, other }, cid)
}

async function joins({ recording, two, ports, upstream }: Scene, other: Running) {
  recording.note(`A second peer, with ${upstream.what} behind it`)
  two.exports({
    PINAIVU_DATA_DIR: 'two',
    PINAIVU_HTTP: `127.0.0.1:${ports.http}`,
    PINAIVU_LISTEN: `/ip4/127.0.0.1/tcp/${ports.listen}`,
  })
  const door = /\/ip4\/\S+\/p2p\/\w+/.exec(other.shown())?.[0]
  const command = `${start} --bootstrap ${door} --upstream llama=${upstream.url}`
  return two.starts(command, [/^ready .*llama in .*\n/m, joined], { brief: true })
}

interface Peers {
  second: Running
  other: Running
}

async function returns({ recording, one }: Scene, peers: Peers, cid: string): Promise<void> {
  const keyFile = '~/.local/share/pinaivu/owner.key'
  recording.note('All that the peer keeps, while it runs')
  await one.types('head -c 18 /dev/urandom | base64 > passphrase')
  await one.types('npx pinaivu-peer backup peer.backup --passphrase-file passphrase', /^Written/)
  const key = await one.reads(`cat ${keyFile}`)

  recording.note('Both end, all of it is lost, and comes back')
  await peers.second.interrupt()
  await peers.other.interrupt()
  await one.types('rm -rf ~/.local/share/pinaivu')
  await one.types('npx pinaivu-peer restore peer.backup --passphrase-file passphrase')
  const third = await one.starts(start, demoReady, { brief: true })
  assert.equal(idIn(third), idIn(peers.second), 'the peer is another one')
  assert.equal(await one.reads(`cat ${keyFile}`), key, 'the owner has another key')

  recording.note('What it answered before: proved by the peer, and without any peer by the file')
  await one.types(`npx pinaivu-peer receipts verify ${cid} | head -1`, holds)
  await third.interrupt()
  await one.types('npx pinaivu-peer receipts verify proof.json --answer answer.txt', holds)
}

const idIn = (peer: Running): string | undefined => /Peer id +(\w+)/.exec(peer.shown())?.[1]

async function newestReceipt(terminal: Terminal): Promise<string> {
  const [newest] = JSON.parse(await terminal.reads('npx pinaivu-peer receipts list --json'))
  return newest.cid
}
