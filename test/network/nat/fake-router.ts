import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

// A router with the UPnP Internet Gateway Device service WANIPConnection, as its documents have it:
// strict in what it takes.

export interface Mapping {
  inner: string
  port: number
  leaseS: number
}

export interface FakeRouterOptions {
  /** Of the internet. */
  outerAddress: string
  /** Outer ports that are somebody else's. */
  taken?: readonly number[]
  /** Whether it forwards for good only. */
  permanentOnly?: boolean
  /** What it says instead of a description. */
  description?: (own: string) => string
  onChange?: () => void
}

const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1'

export class FakeRouter {
  readonly mappings = new Map<number, Mapping>()
  /** Actions that were asked for, in order. */
  readonly asked: string[] = []
  readonly #options: FakeRouterOptions
  readonly #server: Server
  #address = ''

  constructor(options: FakeRouterOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** Where its description is. */
  get location(): URL {
    return new URL(`http://${this.#address}/description.xml`)
  }

  async listen(host: string, port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, host, resolve))
    const address = this.#server.address()
    if (typeof address === 'object') this.#address = `${host}:${address?.port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('content-type', 'text/xml; charset="utf-8"')
    if (request.url === '/description.xml') {
      response.end(this.#options.description?.(this.#address) ?? describing())
      return
    }
    let body = ''
    for await (const part of request) body += part
    const action = `${request.headers.soapaction}`.replaceAll('"', '').split('#')[1] ?? ''
    this.asked.push(action)
    const outcome = this.#do(action, (name) => new RegExp(`<${name}>([^<]*)<`).exec(body)?.[1])
    if (typeof outcome === 'number') response.statusCode = 500
    response.end(typeof outcome === 'number' ? fault(outcome) : answering(action, outcome))
    this.#options.onChange?.()
  }

  /** The answer's fields, or the code of an error. */
  #do(action: string, field: (name: string) => string | undefined): string | number {
    const { outerAddress, taken = [], permanentOnly = false } = this.#options
    if (action === 'GetExternalIPAddress') {
      return `<NewExternalIPAddress>${outerAddress}</NewExternalIPAddress>`
    }
    const outer = Number(field('NewExternalPort'))
    if (field('NewProtocol') !== 'TCP' || field('NewRemoteHost') !== '' || !(outer > 0)) return 402
    if (action === 'DeletePortMapping') return this.mappings.delete(outer) ? '' : 714
    if (action !== 'AddPortMapping') return 401
    const mapping = {
      inner: field('NewInternalClient') ?? '',
      port: Number(field('NewInternalPort')),
      leaseS: Number(field('NewLeaseDuration')),
    }
    if (field('NewEnabled') !== '1' || !(mapping.port > 0) || mapping.inner === '') return 402
    if (permanentOnly && mapping.leaseS !== 0) return 725
    if (taken.includes(outer)) return 718
    this.mappings.set(outer, mapping)
    return ''
  }
}

const describing = () => `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device>
 <deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
 <serviceList><service>
  <serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
  <controlURL>/ctl/L3F</controlURL>
 </service></serviceList>
 <deviceList><device><deviceList><device><serviceList><service>
  <serviceType>${SERVICE}</serviceType>
  <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
  <SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>/ctl/IPConn</controlURL><eventSubURL>/evt</eventSubURL>
 </service></serviceList></device></deviceList></device></deviceList>
</device></root>`

const enveloped = (body: string) =>
  `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${body}</s:Body></s:Envelope>`

const answering = (action: string, fields: string) =>
  enveloped(`<u:${action}Response xmlns:u="${SERVICE}">${fields}</u:${action}Response>`)

const fault = (code: number) =>
  enveloped(
    `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode></UPnPError></detail></s:Fault>`,
  )
