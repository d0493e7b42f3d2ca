import type { FastifyReply } from 'fastify'
import type { Clock } from '../base/clock.ts'
import type { ActivityFigures } from '../market/activity.ts'
import type { Market } from '../market/market.ts'
import type { Directory } from '../network/discovery/directory.ts'
import type { FeedStore } from '../receipts/feeds/feed-store.ts'
import type { ModelLoad } from '../wire/status.ts'
import { type Described, peerJson } from './network-peer.ts'
import { type PeersJson, peersSchema, type SummaryJson, summarySchema } from './network-schema.ts'
import type { RouteModule } from './route.ts'

export interface NetworkComponents {
  identity: { peerId: string }
  /** This peer, as it tells others of itself. */
  describe(): Described
  load(): readonly ModelLoad[]
  directory: Pick<Directory, 'all'>
  market: Pick<Market, 'models'> & { activity(): ActivityFigures }
  feeds: Pick<FeedStore, 'countReceipts'>
  clock: Clock
}

/** Anybody may ask, and as often as they like: what they get is made once in so long. */
const FRESH_MS = 1000
/** Of peers and of models in one answer: a peer describes itself in up to 8 KiB. */
const LISTED_MAX = 500

/** `GET /v8/network/summary` and `GET /v8/network/peers` */
export function networkRoutes(components: NetworkComponents): RouteModule {
  const { clock } = components
  const summary = kept(clock, () => summarise(components))
  const peers = kept(clock, () => listPeers(components))
  const open = { config: { access: 'public' } } as const
  const tags = ['Network']
  return (app) => {
    app.get(
      '/v8/network/summary',
      {
        schema: {
          summary: 'The network as this peer sees it',
          tags,
          response: { 200: summarySchema },
        },
        ...open,
      },
      async (_request, reply) => sendJson(reply, await summary()),
    )
    app.get(
      '/v8/network/peers',
      {
        schema: { summary: 'The peers that this one knows', tags, response: { 200: peersSchema } },
        ...open,
      },
      async (_request, reply) => sendJson(reply, await peers()),
    )
  }
}

/** The text of an answer, made anew when the last one is no longer fresh. */
function kept(
  clock: Clock,
  make: () => SummaryJson | PeersJson | Promise<SummaryJson>,
): () => Promise<string> {
  let text: Promise<string> | undefined
  let madeAt = 0
  const anew = async () => JSON.stringify(await make())
  return () => {
    if (text !== undefined && clock.elapsed() - madeAt < FRESH_MS) return text
    madeAt = clock.elapsed()
    text = anew()
    text.catch(() => {
      text = undefined
    })
    return text
  }
}

function sendJson(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .serializer(String)
    .send(text)
}

const isoNow = (clock: Clock): string => new Date(clock.now()).toISOString()

async function summarise(components: NetworkComponents): Promise<SummaryJson> {
  const { describe, directory, market, feeds, clock } = components
  const receipts = await feeds.countReceipts(clock.now())
  const entries = directory.all()
  const { windowS, tps, requests, countries, firstTokenMs, speculation } = market.activity()
  return {
    object: 'network.summary',
    generated_at: isoNow(clock),
    window_s: windowS,
    online_nodes: entries.length + 1,
    tracked_nodes: entries.length + 1,
    tps: { now: tenth(tps.now), peak: tenth(tps.peak) },
    requests: {
      in_flight: requests.inFlight,
      last_60s: requests.last60s,
      failed_60s: requests.failed60s,
    },
    regions: regionsOf(
      [describe().region, ...entries.map(({ advert }) => advert.region)],
      countries,
    ),
    models: market
      .models()
      .slice(0, LISTED_MAX)
      .map(({ name, nodes }) => ({ id: name, nodes })),
    latency_ms: {
      ttft_p50: tenthOrNull(firstTokenMs?.p50),
      ttft_p95: tenthOrNull(firstTokenMs?.p95),
    },
    speculative: {
      runs_of_last_32: speculation.runs,
      acceptance: speculation.acceptance ?? null,
    },
    receipts: { total: receipts.total, last_24h: receipts.lastDay },
  }
}

/** Where peers are, and where they wrote; a peer may have left since it did. */
function regionsOf(
  declared: readonly (string | undefined)[],
  wrote: ActivityFigures['countries'],
): SummaryJson['regions'] {
  const tps = new Map(wrote.map((each) => [each.country, each.tps]))
  const nodes = new Map<string | undefined, number>([...tps.keys()].map((country) => [country, 0]))
  for (const country of declared) nodes.set(country, (nodes.get(country) ?? 0) + 1)
  const ofAll = wrote.reduce((sum, each) => sum + each.tps, 0)
  return [...nodes]
    .map(([country, count]) => {
      const own = tps.get(country) ?? 0
      const share = ofAll > 0 ? Math.round((own / ofAll) * 100) / 100 : null
      return { country: country ?? null, nodes: count, tps: tenth(own), share }
    })
    .sort((a, b) => b.tps - a.tps || b.nodes - a.nodes)
}

function listPeers(components: NetworkComponents): PeersJson {
  const { identity, describe, load, directory, clock } = components
  const entries = directory.all()
  const now = clock.elapsed()
  // Those in use say more, so they come first.
  const listed = [
    ...entries.filter(({ connected }) => connected),
    ...entries.filter(({ connected }) => !connected),
  ].slice(0, LISTED_MAX - 1)
  const self = peerJson(describe(), load(), {
    node: identity.peerId,
    self: true,
    connected: true,
    rtt_ms: 0,
    evidence_age_s: 0,
  })
  const others = listed.map(({ peerId, advert, status, connected, rttMs, heardAt }) =>
    peerJson(advert, status?.models, {
      node: peerId,
      self: false,
      connected,
      rtt_ms: tenthOrNull(rttMs),
      evidence_age_s: tenth((now - heardAt) / 1000),
    }),
  )
  return {
    object: 'list',
    generated_at: isoNow(clock),
    data: [self, ...others],
    total: entries.length + 1,
    has_more: listed.length < entries.length,
  }
}

const tenth = (value: number): number => Math.round(value * 10) / 10
const tenthOrNull = (value: number | undefined): number | null =>
  value === undefined ? null : tenth(value)
