import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A debugger comes up in moments, or not at all. */
const ATTACH_MS = 10_000
const RETRY_MS = 50

export interface HeapProbe {
  /** What the process cannot let go of: collected first, so that what only waits for that is not counted. */
  usedMb(): Promise<number>
  close(): void
}

/** A port for a debugger, to be given to Node as `--inspect-port`. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}

/** Attaches to a Node process that was started with that port. */
export async function attach(pid: number, port: number): Promise<HeapProbe> {
  process.kill(pid, 'SIGUSR1')
  const socket = new WebSocket(await debuggerAt(port))
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  const waiting = new Map<number, (result: Record<string, number>) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data))
    waiting.get(id)?.(result)
    waiting.delete(id)
  })
  let asked = 0
  const ask = (method: string) => {
    const id = ++asked
    socket.send(JSON.stringify({ id, method }))
    return new Promise<Record<string, number>>((resolve) => waiting.set(id, resolve))
  }
  return {
    async usedMb() {
      await ask('HeapProfiler.collectGarbage')
      const { usedSize = 0, backingStorageSize = 0 } = await ask('Runtime.getHeapUsage')
      return (usedSize + backingStorageSize) / 1024 ** 2
    },
    close: () => socket.close(),
  }
}

async function debuggerAt(port: number): Promise<string> {
  const giveUpAt = performance.now() + ATTACH_MS
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/json/list`)
      const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[]
      if (target !== undefined) return target.webSocketDebuggerUrl
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
    await sleep(RETRY_MS)
  }
}
