import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withBrowser } from './browser.ts'

/** A page that is looked at and used, over the DevTools protocol. */
export class Tab {
  readonly #socket: WebSocket
  #calls = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  /** The value of an expression in the page; throws what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', options)
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }

  /** Resolves once the value is as wanted; a browser ends some time. */
  async until(expression: string, wanted: (value: unknown) => boolean): Promise<void> {
    while (!wanted(await this.evaluate(expression))) await sleep(20)
  }

  async open(url: string): Promise<void> {
    await this.send('Page.navigate', { url })
    const isOpen = `location.href === ${JSON.stringify(url)} && document.readyState === 'complete'`
    // While it goes from one page to the next there is none to ask.
    const ask = () => this.evaluate(isOpen).catch(() => false)
    while (!(await ask())) await sleep(20)
  }

  // biome-ignore lint/suspicious/noExplicitAny: every method answers with something else.
  async send(method: string, params: object = {}): Promise<any> {
    const id = ++this.#calls
    this.#socket.send(JSON.stringify({ id, method, params }))
    for (;;) {
      const [{ data }] = await once(this.#socket, 'message')
      const answer = JSON.parse(data)
      if (answer.id !== id) continue
      if (answer.error !== undefined) throw new Error(answer.error.message)
      return answer.result
    }
  }
}

/** Opens a page; one call at a time. */
export async function withTab<T>(url: string, use: (tab: Tab) => Promise<T>): Promise<T> {
  return withBrowser(['--remote-debugging-port=0', 'about:blank'], async (profile) => {
    const told = join(profile, 'DevToolsActivePort')
    while (!existsSync(told) || !readFileSync(told, 'utf8').includes('\n')) await sleep(20)
    const [port] = readFileSync(told, 'utf8').split('\n')
    const made = await fetch(`http://127.0.0.1:${port}/json/new`, { method: 'PUT' })
    const { webSocketDebuggerUrl } = (await made.json()) as { webSocketDebuggerUrl: string }
    const socket = new WebSocket(webSocketDebuggerUrl)
    await once(socket, 'open')
    const tab = new Tab(socket)
    try {
      await tab.open(url)
      return await use(tab)
    } finally {
      socket.close()
    }
  })
}
