import { setTimeout as sleep } from 'node:timers/promises'

/** Where Node's debugger listens unless told otherwise; an engine process cannot be told. */
const PORT = 9229
/** A debugger comes up in moments, or not at all. */
const ATTACH_MS = 10_000
const RETRY_MS = 50

/**
 * Has a Node process collect its garbage, so that what it holds afterwards is what it cannot let go
 * of. Gives its heap's size in MB. One process at a time: all of them use the one port.
 */
export async function collect(pid: number): Promise<number> {
  process.kill(pid, 'SIGUSR1')
  const socket = new WebSocket(await debuggerAt(PORT))
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve))
  const waiting = new Map<number, (result: Record<string, number>) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data))
    waiting.get(id)?.(result)
    waiting.delete(id)
  })
  let asked = 0
  const ask = (method: string, params = {}) => {
    const id = ++asked
    socket.send(JSON.stringify({ id, method, params }))
    return new Promise<Record<string, number>>((resolve) => waiting.set(id, resolve))
  }
  await ask('HeapProfiler.collectGarbage')
  const { usedSize = 0, backingStorageSize = 0 } = await ask('Runtime.getHeapUsage')
  // It hangs up as it closes; its port is free for the next process then.
  void ask('Runtime.evaluate', { expression: "process.getBuiltinModule('inspector').close()" })
  await closed
  return (usedSize + backingStorageSize) / 1024 ** 2
}

async function debuggerAt(port: number): Promise<string> {
  const giveUpAt = performance.now() + ATTACH_MS
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/json/list`, {
        headers: { connection: 'close' },
      })
      const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[]
      if (target !== undefined) return target.webSocketDebuggerUrl
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
    await sleep(RETRY_MS)
  }
}
