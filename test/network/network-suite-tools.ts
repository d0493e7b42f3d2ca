import type { FrameStream, Network } from '../../src/network/network.ts'

export const wait = (ms = 5_000) => ({ signal: AbortSignal.timeout(ms) })
export const bytes = (text: string) => new TextEncoder().encode(text)
export const text = (frame: Uint8Array | undefined) => frame && new TextDecoder().decode(frame)
export const limits = { streamsMax: 8, opensPerSecond: 100 }

export async function echo(stream: FrameStream) {
  for (;;) {
    const frame = await stream.read(wait())
    if (frame === undefined) return
    await stream.writable(wait())
    stream.write(frame)
  }
}

export interface Tools {
  begin(count: number, prepare?: (network: Network, index: number) => void): Promise<Network[]>
  link(a: Network, b: Network): Promise<void>
  pair(prepare?: (network: Network, index: number) => void): Promise<[Network, Network]>
}

export const idOf = (network: Network) => network.status().peerId
