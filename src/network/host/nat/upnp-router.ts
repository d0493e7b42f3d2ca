import { request } from 'node:http'
import { isIPv4 } from 'node:net'
import { PeerError } from '../../../base/errors.ts'
import { upnpLimits as limits } from './nat-limits.ts'
import type { RouterHint } from './upnp-search.ts'

/** Services that forward ports, as in the Internet Gateway Device documents. */
const SERVICE = /^urn:schemas-upnp-org:service:WAN(IP|PPP)Connection:[12]$/

/** What a router says instead of doing something. */
export class RouterError extends PeerError {
  /** Of the document of the service, such as 718: that port is somebody else's. */
  readonly upnpCode: number

  constructor(upnpCode: number) {
    super('router_refused', `The router refuses with UPnP error ${upnpCode}.`)
    this.upnpCode = upnpCode
  }
}

export interface Forwarding {
  outerPort: number
  innerPort: number
  leaseS: number
}

/** A router on the local network that forwards ports when asked. What it says is bounded, and no more than a claim. */
export class Router {
  /** This machine, as the router sees it. */
  readonly ownAddress: string
  readonly #control: URL
  readonly #service: string

  private constructor(ownAddress: string, control: URL, service: string) {
    this.ownAddress = ownAddress
    this.#control = control
    this.#service = service
  }

  /** Undefined when it forwards nothing. */
  static async at(hint: RouterHint, signal: AbortSignal): Promise<Router | undefined> {
    const { body } = await ask(hint.location, { signal })
    for (const block of body.split('<service>').slice(1, limits.servicesMax)) {
      const service = textOf(block, 'serviceType') ?? ''
      const base = textOf(body, 'URLBase') ?? hint.location.href
      const control = URL.parse(textOf(block, 'controlURL') ?? '', base)
      const isSame = control?.protocol === 'http:' && control.hostname === hint.location.hostname
      if (SERVICE.test(service) && control !== null && isSame) {
        return new Router(hint.ownAddress, control, service)
      }
    }
    return undefined
  }

  /** As the internet sees it. */
  async outerAddress(signal: AbortSignal): Promise<string> {
    const answer = await this.#run('GetExternalIPAddress', {}, signal)
    const address = textOf(answer, 'NewExternalIPAddress') ?? ''
    if (!isIPv4(address)) throw new PeerError('router_unclear', 'The router names no address.')
    return address
  }

  async forward({ outerPort, innerPort, leaseS }: Forwarding, signal: AbortSignal): Promise<void> {
    await this.#run(
      'AddPortMapping',
      {
        NewRemoteHost: '',
        NewExternalPort: outerPort,
        NewProtocol: 'TCP',
        NewInternalPort: innerPort,
        NewInternalClient: this.ownAddress,
        NewEnabled: 1,
        NewPortMappingDescription: 'pinaivu-peer',
        NewLeaseDuration: leaseS,
      },
      signal,
    )
  }

  async unforward(outerPort: number, signal: AbortSignal): Promise<void> {
    const of = { NewRemoteHost: '', NewExternalPort: outerPort, NewProtocol: 'TCP' }
    await this.#run('DeletePortMapping', of, signal)
  }

  async #run(
    action: string,
    fields: Record<string, string | number>,
    signal: AbortSignal,
  ): Promise<string> {
    const inner = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`)
    const envelope = [
      '<?xml version="1.0"?>',
      '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"',
      ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>',
      `<u:${action} xmlns:u="${this.#service}">${inner.join('')}</u:${action}>`,
      '</s:Body></s:Envelope>',
    ].join('')
    const soapAction = `"${this.#service}#${action}"`
    const { status, body } = await ask(this.#control, { signal, envelope, soapAction })
    if (status === 200) return body
    throw new RouterError(Number(textOf(body, 'errorCode') ?? status))
  }
}

interface Asking {
  signal: AbortSignal
  envelope?: string
  soapAction?: string
}

/** Never follows to another place, and reads no more than a router has to say. */
async function ask(
  url: URL,
  { signal, envelope, soapAction = '' }: Asking,
): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const posting = { 'content-type': 'text/xml; charset="utf-8"', soapaction: soapAction }
  const asked = request(url, {
    method: envelope === undefined ? 'GET' : 'POST',
    headers: envelope === undefined ? {} : posting,
    signal: AbortSignal.any([signal, AbortSignal.timeout(limits.askMs)]),
    agent: false,
  })
  asked.on('error', reject)
  asked.on('response', (answer) => {
    let body = ''
    answer.setEncoding('utf8')
    answer.on('data', (part: string) => {
      body += part
      if (body.length > limits.descriptionBytesMax) {
        asked.destroy(new PeerError('too_large', 'The router says too much.'))
      }
    })
    answer.on('error', reject)
    answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }))
  })
  asked.end(envelope)
  return await promise
}

/** What stands in the first element of that name, whatever its namespace is called. */
function textOf(xml: string, name: string): string | undefined {
  return new RegExp(`<(?:[\\w-]+:)?${name}(?:\\s[^>]*)?>\\s*([^<]*?)\\s*<`).exec(xml)?.[1]
}
