import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** An endpoint that answers each path as it is told; what it is given as a peer. */
export async function stubServer(
  routes: Readonly<Record<string, (response: ServerResponse) => void>>,
): Promise<{ http: string; apiKey: string }> {
  const server = createServer((request, response) => {
    request.resume()
    const route = routes[request.url ?? '']
    if (route !== undefined) route(response)
    else response.writeHead(404).end('not here')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  })
  return { http: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, apiKey: 'sk' }
}
