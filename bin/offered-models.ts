import { loadOf, type ModelPrice, type NetworkPeer } from './network-peers.ts'
import type { ModelOffer, ModelRow } from './peer-state.ts'

/** A model that can be asked through a peer: what the peer itself knows of it, and who else serves it. */
export interface OfferedModel extends Omit<ModelRow, 'size_bytes'> {
  /** Other peers serve it, and this one does not. */
  network: boolean
  nodes: number
  /** The lowest. */
  price: ModelPrice | null
}

/** Slots and jobs are those of all peers that serve a model, as far as they tell. */
export function offeredModels(
  offers: readonly ModelOffer[],
  own: readonly ModelRow[],
  peers: readonly NetworkPeer[],
): OfferedModel[] {
  return offers.map((offer) => {
    const row = own.find(({ name }) => name === offer.id)
    const served = peers.flatMap(({ models }) => models.filter(({ id }) => id === offer.id))
    const load = loadOf(served)
    return {
      name: offer.id,
      id: offer.content_id ?? null,
      network: offer.network,
      nodes: offer.nodes,
      price: offer.price ?? null,
      state: row?.state ?? 'network',
      demo: row?.demo ?? false,
      kind: row?.kind ?? offer.kind ?? null,
      parameters: row?.parameters ?? served[0]?.parameters ?? null,
      quant: row?.quant ?? served[0]?.quant ?? null,
      context_length: row?.context_length ?? offer.context_length ?? null,
      tokens_per_second: row?.tokens_per_second ?? null,
      progress: row?.progress ?? null,
      error: row?.error ?? null,
      slots: load?.slots ?? row?.slots ?? null,
      running: load?.running ?? row?.running ?? 0,
      queued: load?.queued ?? row?.queued ?? 0,
    }
  })
}
