import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config, ModelStatus, PeerReady } from '../src/index.ts'
import { waysToJoin } from './peer-state.ts'
import { labelled, type Paint } from './text.ts'

export interface BannerOptions {
  /** Whoever looks over a shoulder sees a terminal; whoever reads a log file sees for ever. */
  showKey: boolean
  paint: Paint
  /** As far as they are known. */
  states: ReadonlyMap<string, ModelStatus>
}

/** What a person sees once the peer answers. */
export function banner(ready: PeerReady, config: Config, options: BannerOptions): string[] {
  const { paint, states } = options
  const keyFile = join(ready.dataDir, 'owner.key')
  const rows: Row[] = [
    ['Peer id', [ready.peerId]],
    ['Listening', ready.addrs.length > 0 ? ready.addrs : ['on no address']],
    ['Network', [networkText(config)]],
    ...(config.region === undefined ? [] : [row('Region', `${config.region}, as you declare it`)]),
    ...(sells(ready, config) ? [row('Price', priceLine(config))] : []),
    ['Data', [ready.dataDir]],
  ]
  if (ready.http === null) rows.push(['Endpoint', ['none (--no-http)']])
  else {
    rows.push(['Endpoint', [`${ready.http}/v1`]])
    rows.push(['API key', [options.showKey ? ready.apiKey : `in ${keyFile}`]])
    rows.push(['Status page', [`${ready.http}/`]])
  }
  rows.push(['Models', modelRows(ready, states)])
  const key = options.showKey ? ready.apiKey : `$(cat ${quoted(keyFile)})`
  return [
    paint('bold', `pinaivu-peer ${ready.version}`),
    '',
    ...labelled(rows, paint),
    '',
    ...(ready.http === null
      ? []
      : ['Try it:', '', `  ${curlLine(ready, config, key, states)}`, '']),
    'Ctrl-C stops the peer.',
    '',
  ]
}

type Row = [label: string, values: readonly string[]]
const row = (label: string, value: string): Row => [label, [value]]

const isAlone = ({ bootstrap, mdns }: Config): boolean => bootstrap.length === 0 && !mdns

const sells = ({ models }: PeerReady, config: Config): boolean =>
  models.length > 0 && config.roles.includes('provider') && !isAlone(config)

const priceLine = ({ price: { input, output } }: Config): string =>
  input + output === 0
    ? 'other peers are answered for nothing (--price)'
    : `${input}/${output} micro-credits per 1,000 tokens read/written, asked of other peers`

function networkText(config: Config): string {
  const { network, bootstrap, mdns } = config
  if (isAlone(config)) {
    return `${network}; this peer is alone (join others with --bootstrap or --mdns)`
  }
  return `${network}; joining through ${waysToJoin({ bootstrap: bootstrap.length, mdns })}`
}

function modelRows(ready: PeerReady, states: BannerOptions['states']): string[] {
  if (ready.models.length === 0) return ['none (serve one with --model FILE)']
  const width = Math.max(...ready.models.map((name) => name.length))
  return ready.models.map((name) => {
    const status = states.get(name)
    const text = [status?.demo === true ? 'demo model' : [], status?.state ?? []].flat().join(', ')
    return `${name.padEnd(width)}  ${text}`.trimEnd()
  })
}

/** A command that answers as it is printed here, in any POSIX shell. */
function curlLine(
  ready: PeerReady,
  config: Config,
  key: string,
  states: ReadonlyMap<string, ModelStatus>,
): string {
  const url = ready.http ?? ''
  const trust = config.tls === null ? '' : trustOption(config.tls.certFile, url)
  const chat = ready.models.find((name) => states.get(name)?.facts?.kind !== 'embedding')
  if (chat !== undefined) return chatCurl(url, key, chat, trust)
  return `curl${trust} ${url}/v1/models -H "Authorization: Bearer ${key}"`
}

/** `key` stands in double quotes: it may be a command that prints the key. */
export function chatCurl(url: string, key: string, model: string, options = ''): string {
  const body = { model, messages: [{ role: 'user', content: 'Hello! Who are you?' }] }
  return (
    `curl${options} ${url}/v1/chat/completions -H "Authorization: Bearer ${key}" ` +
    `-H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`
  )
}

/** What curl must be told to accept the endpoint's certificate. */
function trustOption(certFile: string, url: string): string {
  const certificate = new X509Certificate(readFileSync(certFile))
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const named = certificate.checkHost(host) ?? certificate.checkIP(host)
  if (named === undefined) return ' --insecure'
  return certificate.issuer === certificate.subject ? ` --cacert ${quoted(certFile)}` : ''
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
