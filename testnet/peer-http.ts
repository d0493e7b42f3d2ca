import { messageOf, PeerError } from '../src/index.ts'

const answerMs = 5000 // a peer on this machine, however busy it is

/** What a peer's public path answers, whatever the status. */
export async function textOf(http: string, path: string, signal: AbortSignal): Promise<string> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
    return await (await fetch(new URL(path, http), { signal: limited })).text()
  } catch (cause) {
    signal.throwIfAborted()
    const message = `${http}${path} does not answer: ${messageOf(cause)}`
    throw new PeerError('testnet_peer_silent', message, { cause })
  }
}

export async function jsonOf(http: string, path: string, signal: AbortSignal): Promise<unknown> {
  const text = await textOf(http, path, signal)
  try {
    return JSON.parse(text)
  } catch (cause) {
    const message = `${http}${path} did not answer with JSON.`
    throw new PeerError('testnet_peer_silent', message, { cause })
  }
}
