import type { Endpoint } from './connection.ts'

/** What the client is to measure. */
export type Order =
  | { type: 'first token'; endpoints: Endpoint[]; model: string; maxTokens: number; times: number }
  | { type: 'whole answers'; endpoint: Endpoint; model: string; maxTokens: number; seconds: number }
  | { type: 'relay'; endpoint: Endpoint; model: string; relay: Relay }

export interface Relay {
  streams: number
  /** After a lead, in which all begin. */
  seconds: number
  /** From one token to the next; 0 for as fast as they are read. */
  stepMs: number
  /** Of one answer; the next one follows until the time is over. */
  answerTokens: number
}

export interface Relayed {
  /** All that came, for what is reckoned for each. */
  tokens: number
  tokensPerSecond: number
  /** From when a token was made to when it was here, in milliseconds. */
  p50: number
  p99: number
  /** Processor time of this process for each token. */
  clientMicroseconds: number
}

/** For all streams to be under way. */
export const LEAD_MS = 1500
