import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Received {
  method: string | undefined
  url: string | undefined
  headers: http.IncomingHttpHeaders
  body: string
  /** The name that TLS was asked for. */
  servername?: string | false | null
}

export type Answer = (response: ServerResponse, received: Received) => void

export const ok: Answer = (response) => void response.writeHead(200).end('ok')
export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end()

export interface Receiver {
  port: number
  got: Received[]
  /** Connections that were made to it, whatever came of them. */
  connections(): number
  answer: Answer
}

interface Certified {
  cert: string
  key: string
}

/** A real server on a free loopback port. */
export async function startReceiver(answer: Answer = ok, tls?: Certified): Promise<Receiver> {
  const got: Received[] = []
  const receiver: Receiver = { port: 0, got, connections: () => connections, answer }
  let connections = 0
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => {
      body += part
    })
    request.on('end', () => {
      const { method, url, headers, socket } = request
      const { servername } = socket as Socket & { servername?: string }
      const received = { method, url, headers, body, ...(tls && { servername }) }
      got.push(received as Received)
      receiver.answer(response, received as Received)
    })
  }
  const server = tls ? https.createServer(tls, onRequest) : http.createServer(onRequest)
  server.on('connection', () => {
    connections += 1
  })
  receiver.port = await listen(server)
  return receiver
}

/** A server of bare bytes. */
export const startRaw = (onConnection: (socket: Socket) => void): Promise<number> =>
  listen(
    createServer((socket) => {
      socket.on('error', () => {})
      onConnection(socket)
    }),
  )

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return (server.address() as AddressInfo).port
}
