// Preloaded into a peer's process (`--import`): all of the public internet that its test has. One name leads to one
// public address, and whoever connects there is at a server of this machine. All checks of the peer are in force: it
// asks for the name, looks at the address, connects to that, and has the name proven by TLS (NODE_EXTRA_CA_CERTS).
import { Resolver } from 'node:dns/promises'
import { type LookupFunction, Socket } from 'node:net'

const PUBLIC = '93.184.215.14'
const PORT = 8443

const addresses: Record<string, string[]> = {
  'images.example': [PUBLIC],
  'inside.example': [PUBLIC, '10.0.0.7'],
}

Resolver.prototype.resolve4 = (async (name: string) => {
  const found = addresses[name]
  if (found === undefined) throw new Error('ENOTFOUND')
  return found
}) as typeof Resolver.prototype.resolve4
Resolver.prototype.resolve6 = (async () => {
  throw new Error('ENODATA')
}) as unknown as typeof Resolver.prototype.resolve6

interface Asked {
  host?: string
  port?: number | string
  lookup?: LookupFunction
}

const here: LookupFunction = (_name, { all }, callback) => {
  if (all) callback(null, [{ address: '127.0.0.1', family: 4 }])
  else callback(null, '127.0.0.1', 4)
}

const { connect } = Socket.prototype
Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
  const [first] = args
  const asked = (Array.isArray(first) ? first[0] : first) as Asked
  if (Number(asked?.port) === PORT) {
    const { host = '', lookup } = asked
    lookup?.(host, { all: false }, (_error, address) => {
      if (address !== PUBLIC) throw new Error(`nobody is to go to ${String(address)}`)
    })
    Object.assign(asked, { port: Number(process.env.INTERNET_PORT), lookup: here })
  }
  return Reflect.apply(connect, this, args) as Socket
} as typeof connect
