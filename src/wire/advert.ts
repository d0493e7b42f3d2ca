import type { Price } from './job.ts'

/** What a peer says of itself. All of it is a claim until somebody measured it. */
export interface Advert {
  peerId: string
  /** Higher than any that this peer ever signed: milliseconds since the epoch do, made to grow. */
  sequence: number
  /** Counted by the reader, from when it had this sequence from the peer itself. */
  ttlS: number
  /** Multiaddrs without the peer id. */
  addresses: string[]
  roles: string[]
  /** ISO 3166 alpha-2, declared. */
  region?: string
  hardware: HardwareFacts
  models: AdvertModel[]
  /** Of the program. */
  version: string
}

export interface HardwareFacts {
  gpus: { name: string; vramTotalBytes: number; vramFreeBytes: number }[]
  cpu: string
  cpuThreads: number
  ramBytes: number
  /** What computes: cpu, cuda, vulkan, metal. */
  backend: string
}

export interface AdvertModel {
  name: string
  /** `cid:<CID of the GGUF>`, or `declared:<name>@<peer id>` where the weights can't be seen. */
  id: string
  /** chat, embedding; a reader passes over kinds it does not know. */
  kind: string
  family: string
  parameters: number
  quant: string
  contextLength: number
  /** 0 for a model that makes text. */
  embeddingLength: number
  capabilities: string[]
  slots: number
  price: Price
  /** Id of the model that this one drafts for. */
  draftsFor?: string
}
