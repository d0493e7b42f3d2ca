import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Cores, keepAwake } from '../awake.ts'
import { Forked } from '../forked.ts'
import { machineFacts } from '../machine.ts'
import { startProgram } from '../program.ts'
import { keep } from '../results.ts'
import { quantile, rounded } from '../statistics.ts'
import { MODEL, now, PACE_MS, TOKENS } from './upstream-terms.ts'

const entry = fileURLToPath(new URL('../../dist/bin/pinaivu-peer.js', import.meta.url))
const REQUESTS = 100
/** By each way, before the rounds: V8 compiles what was called some hundreds of times. */
const WARM_UP = 2_000
const WARM_UP_STREAMS = 8
const streamCounts = [1, 8]

interface Asked {
  name: 'direct' | 'proxy' | 'peer'
  url: string
  key: string
}

interface Answered {
  /** From the question to the first token. */
  firstTokenMs: number
  /** Of each token but the first, from the server to here. */
  tokenMs: number[]
}

/** What a peer adds to the server behind it, both asked in turn by the same client. */
export async function upstreamBench(rounds: number, profile: string | undefined): Promise<void> {
  const machine = machineFacts()
  const server = new Forked(new URL('instant-server.ts', import.meta.url))
  const { port } = await server.hear<{ port: number }>()
  const direct: Asked = { name: 'direct', url: `http://127.0.0.1:${port}`, key: '' }
  const proxy = new Forked(new URL('../gateway/bare-proxy.ts', import.meta.url), [direct.url])
  const { port: proxyPort } = await proxy.hear<{ port: number }>()
  const bare: Asked = { name: 'proxy', url: `http://127.0.0.1:${proxyPort}`, key: '' }
  const peer = await startPeer(direct.url, profile)
  try {
    const { first, rows } = await race([direct, bare, peer.asked], rounds)
    keep({
      name: 'engine-upstream',
      about,
      machine,
      settings: { rounds, requests: REQUESTS, warmUp: WARM_UP, tokens: TOKENS, paceMs: PACE_MS },
      tables: [
        table('Median ms to the first token', rows, firstToken),
        table(
          'Median ms from the server to the client, of a later token',
          rows,
          (one) => one.tokenMs,
        ),
        table(`Median ms to the first token, of the first ${REQUESTS} requests`, first, firstToken),
      ],
      raw: rows.map(({ name, streams, cores, answered }) => ({
        ...{ name, streams, cores },
        firstTokenMs: answered.map(({ firstTokenMs }) => rounded(firstTokenMs)),
      })),
    })
  } finally {
    await peer.stop()
    await proxy.stop()
    await server.stop()
  }
}

const about =
  'An OpenAI-compatible server that computes nothing, in a process of its own, asked by the same client ' +
  'directly and through a peer that has it as its --upstream, in turn, over connections that are kept. ' +
  'Added is what the peer costs: the difference of both medians; a bare Node proxy, which is asked the ' +
  'same in the same turns, costs what nobody in between can do without. All are measured twice, in turn: ' +
  'with the cores as they are, and while programs of the idle class keep them from halting, since what a ' +
  'virtual machine takes to wake one up is no work of either.'

interface Row {
  name: Asked['name']
  streams: number
  cores: Cores
  answered: Answered[]
}

interface Raced {
  /** The first requests of all, one after the other. */
  first: Row[]
  rows: Row[]
}

const rowsOf = (all: readonly Asked[], streams: number, cores: Cores): Row[] =>
  all.map(({ name }) => ({ name, streams, cores, answered: [] }))

async function race(all: readonly Asked[], rounds: number): Promise<Raced> {
  const first = rowsOf(all, 1, 'as they are')
  await askInTurn(all, first, REQUESTS)
  await askInTurn(all, rowsOf(all, WARM_UP_STREAMS, 'as they are'), WARM_UP)
  const asTheyAre = streamCounts.map((streams) => rowsOf(all, streams, 'as they are'))
  const awake = streamCounts.map((streams) => rowsOf(all, streams, 'kept awake'))
  for (let round = 0; round < rounds; round++) {
    for (const each of asTheyAre) await askInTurn(all, each, REQUESTS)
    const leave = await keepAwake()
    if (leave === undefined) continue
    try {
      for (const each of awake) await askInTurn(all, each, REQUESTS)
    } finally {
      leave()
    }
  }
  const rows = [...asTheyAre, ...awake].flat()
  return { first, rows: rows.filter(({ answered }) => answered.length > 0) }
}

/** So many requests by each way, as many at once as the rows' streams. */
async function askInTurn(
  all: readonly Asked[],
  rows: readonly Row[],
  requests: number,
): Promise<void> {
  const streams = rows[0]?.streams ?? 1
  for (let n = 0; n < requests; n += streams) {
    for (const [at, asked] of all.entries()) {
      const answered = await Promise.all(Array.from({ length: streams }, () => ask(asked)))
      rows[at]?.answered.push(...answered)
    }
  }
}

const firstToken = ({ firstTokenMs }: Answered): number[] => [firstTokenMs]

function table(title: string, rows: readonly Row[], figures: (one: Answered) => number[]) {
  const peers = rows.filter(({ name }) => name === 'peer')
  return {
    title,
    columns: [
      ...['streams', 'cores', 'added', 'by a bare proxy', 'ratio'],
      ...['through a peer', 'through a bare proxy', 'directly'],
    ],
    rows: peers.map(({ streams, cores }) => {
      const of = (name: Asked['name']) => {
        const isIt = (row: Row) =>
          row.name === name && row.streams === streams && row.cores === cores
        return quantile((rows.find(isIt)?.answered ?? []).flatMap(figures), 0.5)
      }
      const [peer, proxy, direct] = [of('peer'), of('proxy'), of('direct')]
      const [added, bare] = [peer - direct, proxy - direct]
      const shown = [added, bare, added / bare, peer, proxy, direct].map(rounded)
      return [streams, cores, ...shown]
    }),
  }
}

const agent = new http.Agent({ keepAlive: true })
const question = JSON.stringify({
  model: MODEL,
  messages: [{ role: 'user', content: 'What time is it?' }],
  max_tokens: TOKENS,
  stream: true,
})

function ask({ url, key }: Asked): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  const headers = {
    'content-type': 'application/json',
    'content-length': question.length,
    authorization: `Bearer ${key}`,
  }
  const began = now()
  const tokenMs: number[] = []
  let firstTokenMs = Number.NaN
  const request = http.request(`${url}/v1/chat/completions`, { method: 'POST', agent, headers })
  request.on('error', reject)
  request.on('response', (response) => {
    response.on('data', (bytes: Buffer) => {
      const at = now()
      for (const [, sentAt] of bytes.toString('latin1').matchAll(/"content":"([\d.]+) "/g)) {
        if (Number.isNaN(firstTokenMs)) firstTokenMs = at - began
        else tokenMs.push(at - Number(sentAt))
      }
    })
    response.on('error', reject)
    response.on('end', () => {
      if (tokenMs.length === TOKENS - 1) resolve({ firstTokenMs, tokenMs })
      else reject(new Error(`${url} answered ${response.statusCode}, ${tokenMs.length} tokens`))
    })
  })
  request.end(question)
  return promise
}

async function startPeer(upstream: string, profile: string | undefined) {
  const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-peer-'))
  const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const program = startProgram(process.execPath, [
    ...[...profiling, entry, 'start', '--json', '--data-dir', dataDir, '--log-level', 'error'],
    ...['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0'],
    ...['--upstream', `${MODEL}=${upstream}`],
  ])
  const { stdout } = program.process
  if (stdout === null) throw new Error('the peer has no output to read')
  let ready: { http: string; apiKey: string } | undefined
  for await (const line of createInterface(stdout)) {
    const event = JSON.parse(line)
    if (event.event === 'ready') ready = event
    if (event.event === 'model' && event.state === 'ready') break
  }
  stdout.resume()
  if (ready === undefined) throw new Error('the peer ended before it was ready')
  const asked: Asked = { name: 'peer', url: ready.http, key: ready.apiKey }
  return {
    asked,
    async stop() {
      await program.stop()
      await rm(dataDir, { recursive: true })
    },
  }
}
