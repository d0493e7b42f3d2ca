import { jsonOf } from './peer-http.ts'

interface Provider {
  ready: { peerId: string; models: readonly string[] } | undefined
}

/** Those that the peer at `http` does not know yet, or not all of their models. */
export async function unseen<T extends Provider>(
  http: string,
  others: readonly T[],
  signal: AbortSignal,
): Promise<T[]> {
  const { data } = (await jsonOf(http, '/v8/network/peers', signal)) as { data?: KnownPeer[] }
  const known = new Map(data?.map(({ node, models }) => [node, models.map(({ id }) => id)]))
  return others.filter(({ ready }) => {
    const names = known.get(ready?.peerId ?? '')
    return names === undefined || !ready?.models.every((name) => names.includes(name))
  })
}

interface KnownPeer {
  node: string
  models: { id: string }[]
}
