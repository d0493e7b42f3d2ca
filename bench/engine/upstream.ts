import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Forked } from '../forked.ts'
import { machineFacts } from '../machine.ts'
import { startProgram } from '../program.ts'
import { keep } from '../results.ts'
import { quantile, rounded } from '../statistics.ts'
import { MODEL, now, PACE_MS, TOKENS } from './upstream-terms.ts'

const entry = fileURLToPath(new URL('../../dist/bin/pinaivu-peer.js', import.meta.url))
const REQUESTS = 100
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
    const rows = await race([direct, bare, peer.asked], rounds)
    keep({
      name: 'engine-upstream',
      about,
      machine,
      settings: { rounds, requests: REQUESTS, tokens: TOKENS, paceMs: PACE_MS },
      tables: [
        table('Median ms to the first token', rows, ({ firstTokenMs }) => [firstTokenMs]),
        table(
          'Median ms from the server to the client, of a later token',
          rows,
          (one) => one.tokenMs,
        ),
      ],
      raw: rows.map(({ name, streams, answered }) => ({
        ...{ name, streams },
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
  'same in the same turns, costs what nobody in between can do without.'

interface Row {
  name: Asked['name']
  streams: number
  answered: Answered[]
}

async function race(all: readonly Asked[], rounds: number): Promise<Row[]> {
  const rows = streamCounts.flatMap((streams) =>
    all.map(({ name }): Row => ({ name, streams, answered: [] })),
  )
  for (let round = 0; round <= rounds; round++) {
    for (const streams of streamCounts) {
      for (let n = 0; n < REQUESTS; n += streams) {
        for (const asked of all) {
          const answered = await Promise.all(Array.from({ length: streams }, () => ask(asked)))
          const row = rows.find((each) => each.name === asked.name && each.streams === streams)
          // The first round warms up: connections are opened and code is compiled.
          if (round > 0) row?.answered.push(...answered)
        }
      }
    }
  }
  return rows
}

function table(title: string, rows: readonly Row[], figures: (one: Answered) => number[]) {
  return {
    title,
    columns: [
      ...['streams', 'added', 'by a bare proxy', 'ratio'],
      ...['through a peer', 'through a bare proxy', 'directly'],
    ],
    rows: streamCounts.map((streams) => {
      const of = (name: Asked['name']) => {
        const row = rows.find((each) => each.name === name && each.streams === streams)
        return quantile((row?.answered ?? []).flatMap(figures), 0.5)
      }
      const [peer, proxy, direct] = [of('peer'), of('proxy'), of('direct')]
      const [added, bare] = [peer - direct, proxy - direct]
      return [streams, added, bare, added / bare, peer, proxy, direct].map(rounded)
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
