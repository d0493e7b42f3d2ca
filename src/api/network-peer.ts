import type { Advert, AdvertModel } from '../wire/advert.ts'
import type { ModelLoad } from '../wire/status.ts'
import type { PeerJson } from './network-schema.ts'

/** What is shown of a peer. Where it can be dialled is not: that is between peers. */
export type Described = Pick<Advert, 'region' | 'roles' | 'hardware' | 'models' | 'version'>

type Seen = Pick<PeerJson, 'node' | 'self' | 'connected' | 'rtt_ms' | 'evidence_age_s'>

/** `load` is undefined for a peer that tells it to others only. */
export function peerJson(
  { region, roles, hardware, models, version }: Described,
  load: readonly ModelLoad[] | undefined,
  seen: Seen,
): PeerJson {
  return {
    node: seen.node,
    self: seen.self,
    region: region ?? null,
    roles: [...roles],
    version,
    hardware: {
      gpus: hardware.gpus.map(({ name, vramTotalBytes, vramFreeBytes }) => ({
        name,
        vram_total_bytes: vramTotalBytes,
        vram_free_bytes: vramFreeBytes,
      })),
      cpu: hardware.cpu,
      cpu_threads: hardware.cpuThreads,
      ram_bytes: hardware.ramBytes,
      backend: hardware.backend,
    },
    models: models.map((model) =>
      modelJson(
        model,
        load?.find(({ id }) => id === model.id),
      ),
    ),
    connected: seen.connected,
    rtt_ms: seen.rtt_ms,
    evidence_age_s: seen.evidence_age_s,
  }
}

function modelJson(model: AdvertModel, load: ModelLoad | undefined): PeerJson['models'][number] {
  return {
    id: model.name,
    content_id: model.id,
    kind: model.kind,
    family: model.family,
    parameters: model.parameters,
    quant: model.quant,
    context_length: model.contextLength,
    capabilities: [...model.capabilities],
    price: { input: model.price.input, output: model.price.output },
    slots: load?.slots ?? model.slots,
    load:
      load === undefined
        ? null
        : {
            ready: load.ready,
            running: load.running,
            queued: load.queued,
            tokens_per_second: Math.round(load.tokensPerSecond * 10) / 10,
          },
  }
}
