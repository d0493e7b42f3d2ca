import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** For a server that the bench has forked: says where it listens and, asked, what it has used. */
export async function serve(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  process.once('disconnect', () => process.exit())
  announce((server.address() as AddressInfo).port)
}

export function announce(port: number, key = ''): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ cpuMicroseconds: user + system, rss: process.memoryUsage.rss() })
  })
  process.send?.({ port, key })
}
