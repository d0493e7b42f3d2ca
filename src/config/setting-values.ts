import { isIPv4, isIPv6 } from 'node:net'
import { isAbsolute, join, resolve } from 'node:path'
import { countryCode } from '../base/country.ts'
import { InvalidError } from '../base/errors.ts'
import type { Price } from '../wire/job.ts'
import { peerId } from '../wire/rules.ts'
import { didYouMean } from './did-you-mean.ts'

/** What a relative path in a value is relative to. */
export interface ValueContext {
  base: string
  home: string
}

export type ParseValue<T> = (text: string, context: ValueContext) => T

/** Where an HTTP server listens. */
export interface HostPort {
  host: string
  port: number
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export const roles = ['provider', 'coordinator', 'auditor', 'archive', 'relay'] as const
export type Role = (typeof roles)[number]

/** What goes into the replicated log. */
export const publishing = ['receipts', 'none'] as const

const portMax = 65_535

export const parseHostPort: ParseValue<HostPort> = (text) => {
  const parts = /^(?:\[([^\]]+)\]|([^:/\s]+)):(\d{1,5})$/.exec(text)
  const host = parts?.[1] ?? parts?.[2]
  const port = Number(parts?.[3])
  const bracketsFit = parts?.[1] === undefined || isIPv6(parts[1])
  if (host === undefined || !bracketsFit || port > portMax) {
    throw expected('HOST:PORT, such as 127.0.0.1:7462 or [::1]:7462', text)
  }
  return { host, port }
}

export function parseOneOf<T extends string>(choices: readonly T[]): ParseValue<T> {
  return (text) => {
    const found = choices.find((choice) => choice === text)
    if (found !== undefined) return found
    throw expected(`one of ${choices.join(', ')}`, text, didYouMean(text, choices))
  }
}

export function parseWhole(min: number, max: number): ParseValue<number> {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (number >= min && number <= max) return number
    throw expected(`a whole number from ${min} to ${max}`, text)
  }
}

const yes: readonly string[] = ['true', '1', 'yes', 'on']
const no: readonly string[] = ['false', '0', 'no', 'off']

export const parseSwitch: ParseValue<boolean> = (text) => {
  const word = text.toLowerCase()
  if (yes.includes(word)) return true
  if (no.includes(word)) return false
  throw expected('true or false', text)
}

/** A value that can be switched off as a whole, as `--no-http` does. */
export function orOff<T>(parse: ParseValue<T>): ParseValue<T | null> {
  return (text, context) => (no.includes(text.toLowerCase()) ? null : parse(text, context))
}

export const parsePath: ParseValue<string> = (text, { base, home }) => {
  if (text === '' || text.includes('\0')) throw expected('a path', text)
  if (text === '~' || text.startsWith('~/')) {
    if (home === '') throw new InvalidError(undefined, `there is no home folder for "${text}".`)
    return join(home, text.slice(1))
  }
  return isAbsolute(text) ? text : resolve(base, text)
}

const networkNameMax = 32 // it is part of every protocol id and topic

export const parseNetworkName: ParseValue<string> = (text) => {
  if (/^[a-z0-9-]+$/.test(text) && text.length <= networkNameMax) return text
  throw expected(`1 to ${networkNameMax} of the characters a-z, 0-9 and -`, text)
}

export const parseRegion: ParseValue<string> = (text) => {
  const code = countryCode(text)
  if (code === undefined) throw expected('a country as ISO 3166 alpha-2, such as DE or US', text)
  return code
}

/** A million credits per token: whoever asks for more wants no work. */
const priceMax = 1_000_000_000_000

export const parsePrice: ParseValue<Price> = (text) => {
  const [input = '', output = '', ...rest] = text.split('/')
  const fits = [input, output].every((part) => /^\d{1,13}$/.test(part) && Number(part) <= priceMax)
  if (!fits || rest.length > 0) {
    throw expected(
      'micro-credits per 1,000 input and output tokens as IN/OUT, such as 40/120',
      text,
    )
  }
  return { input: Number(input), output: Number(output) }
}

export const parseOrigin: ParseValue<string> = (text) => {
  if (text === '*') return text
  const url = URL.canParse(text) ? new URL(text) : undefined
  const web = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === undefined || !web || url.origin !== text.replace(/\/$/, '').toLowerCase()) {
    throw expected('an origin: scheme, host and port, such as https://app.example.com', text)
  }
  return url.origin
}

export const parseListenAddress: ParseValue<string> = (text) => {
  const [empty, family, host, transport, port, ...rest] = text.split('/')
  const hostFits =
    (family === 'ip4' && isIPv4(host ?? '')) || (family === 'ip6' && isIPv6(host ?? ''))
  if (empty !== '' || !hostFits || transport !== 'tcp' || !isPort(port, 0) || rest.length > 0) {
    throw expected('a TCP multiaddr, such as /ip4/0.0.0.0/tcp/7463 or /ip6/::/tcp/7463', text)
  }
  return text
}

export const parseBootstrapAddress: ParseValue<string> = (text) => {
  const [address, peerId, ...rest] = text.split('/p2p/')
  const [empty, family = '', host = '', transport, port, ...more] = (address ?? '').split('/')
  const named = ['dns', 'dns4', 'dns6', 'dnsaddr'].includes(family) && isDomain(host)
  const numbered = (family === 'ip4' && isIPv4(host)) || (family === 'ip6' && isIPv6(host))
  const reachable =
    family === 'dnsaddr' ? transport === undefined : transport === 'tcp' && isPort(port, 1)
  const identified = /^[A-Za-z0-9]{40,80}$/.test(peerId ?? '') && rest.length === 0
  if (empty !== '' || !(named || numbered) || !reachable || more.length > 0 || !identified) {
    throw expected(
      'the multiaddr of a peer with its id, such as /ip4/203.0.113.7/tcp/7463/p2p/12D3Koo…',
      text,
    )
  }
  return text
}

const isPort = (text: string | undefined, min: number): boolean =>
  /^\d{1,5}$/.test(text ?? '') && Number(text) >= min && Number(text) <= portMax

const isDomain = (text: string): boolean => /^[A-Za-z0-9_.-]{1,253}$/.test(text)

/** It stands in addresses: `a/../b` there is `b`. */
export const isModelName = (text: string): boolean =>
  /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/.test(text) && !/(^|\/)(\.{0,2})(\/|$)/.test(text)

export const parseHostName: ParseValue<string> = (text) => {
  const name = text.toLowerCase()
  if (isIPv6(name)) return `[${name}]` // as a Host header has it
  if (isDomain(name)) return name
  throw expected('a host name without scheme and port, such as peer.example.com', text)
}

export const parsePeerId: ParseValue<string> = (text) => {
  if (peerId.pattern.test(text)) return text
  throw expected('the id of a peer, such as 12D3KooW…', text)
}

export function expected(what: string, got: string, hint = ''): InvalidError {
  return new InvalidError(undefined, `expected ${what}, got "${got}".${hint}`)
}
