import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'

// A program that behaves as `pinaivu-peer start --json` does towards a testnet, or misbehaves as the
// variable FAKE_<name> says. Peers "find" each other by telling the first, whose address is HTTP.

const text = { type: 'string' } as const
const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    ...{ http: text, listen: text, network: text, slots: text, threads: text, region: text },
    roles: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
    json: { type: 'boolean' },
    'no-demo': { type: 'boolean' },
    bootstrap: { type: 'string', multiple: true, default: [] },
  },
})
const dataDir = values['data-dir']
const name = basename(dataDir)
const behaviour = process.env[`FAKE_${name.replace('-', '_')}`]
const models = values['no-demo'] === true ? [] : ['pinaivu-demo', 'pinaivu-demo-embed']
const id = `12D3KooFake${name}`
const known = [{ node: id, models: models.map((model) => ({ id: model })) }]

writeFileSync(`${dataDir}/pid`, String(process.pid))
if (behaviour === 'dies') {
  process.stderr.write('it was too late\nport 1 is taken\n')
  process.exit(3)
}
if (behaviour === 'is stubborn') process.on('SIGTERM', () => {})
else process.on('disconnect', () => process.exit(0))

const metrics = `\
# HELP pinaivu_engine_output_tokens_total Tokens of answers that were written.
pinaivu_engine_output_tokens_total{model="pinaivu-demo"} 120
pinaivu_http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 7
pinaivu_http_requests_total{method="POST",route="/v1/chat/completions",status="503"} 1
pinaivu_http_requests_total{method="GET",route="/readyz",status="200"} 40
`

const server = createServer(async (request, response) => {
  let body = ''
  for await (const piece of request.setEncoding('utf8')) body += piece
  if (request.url === '/join') known.push(JSON.parse(body))
  if (request.url === '/metrics') response.end(metrics)
  else if (request.url === '/v8/network/peers') response.end(JSON.stringify({ data: known }))
  else {
    const states = models.map((model) => ({ name: model, state: 'ready', running: 1, queued: 0 }))
    response.end(JSON.stringify({ models: states }))
  }
})
server.listen(0, '127.0.0.1', async () => {
  const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const print = (event: unknown) => process.stdout.write(`${JSON.stringify(event)}\n`)
  print({
    ...{ event: 'ready', version: '0.1.0', peerId: id, addrs: [http], http, models, dataDir },
    ...{ apiKey: `sk-pnv-${name}`, roles: values.roles.split(','), ms: 1 },
    args: process.argv.slice(2),
    settings: Object.keys(process.env).filter((key) => key.startsWith('PINAIVU_')),
  })
  if (behaviour === 'cannot load') {
    const error = { code: 'model_unreadable', message: 'not a GGUF file' }
    print({ event: 'model', name: 'pinaivu-demo', state: 'failed', error })
  }
  if (behaviour === 'ends at once') process.exit(4)
  if (behaviour === 'is never found') return
  const [first] = values.bootstrap
  if (first === undefined) return
  await fetch(`${first}/join`, { method: 'POST', body: JSON.stringify(known[0]) })
  print({ event: 'model', name: 'pinaivu-demo', state: 'ready' })
})
