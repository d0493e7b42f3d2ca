import { readFile } from 'node:fs/promises'
import { FileLinks } from './accounts/files/file-links.ts'
import { Idempotency } from './accounts/idempotency/idempotency.ts'
import { limited } from './accounts/limits/limited.ts'
import { RateLimiter } from './accounts/limits/rate-limiter.ts'
import { SessionStore } from './accounts/sessions/session-store.ts'
import { backupRoutes } from './api/backup.ts'
import { healthRoutes } from './api/health.ts'
import { ImageFetcher } from './api/images/image-fetcher.ts'
import { keyRoutes } from './api/keys.ts'
import type { PromMetrics } from './api/metrics.ts'
import { networkRoutes } from './api/network.ts'
import { chatRoutes } from './api/openai/chat-completions.ts'
import { completionRoutes } from './api/openai/completions.ts'
import { embeddingRoutes } from './api/openai/embeddings.ts'
import { modelRoutes } from './api/openai/models.ts'
import { usageRoutes } from './api/openai/usage.ts'
import { openApiRoutes } from './api/openapi.ts'
import { pageRoutes } from './api/page.ts'
import { creditRoutes } from './api/product/credits.ts'
import { productRoutes } from './api/product/product.ts'
import { webhookRoutes } from './api/product/webhooks.ts'
import { logRoutes } from './api/receipts/log.ts'
import { receiptRoutes, routingReceiptRoutes } from './api/receipts/receipts.ts'
import { mounted, type RouteModule } from './api/route.ts'
import { HttpServer } from './api/server.ts'
import { gathered } from './backup/gather.ts'
import { encodeRecords } from './backup/records.ts'
import { InvalidError, messageOf } from './base/errors.ts'
import { isLoopback } from './base/loopback.ts'
import { marketBehind, paidMarket } from './market/market.ts'
import { needOf } from './market/need.ts'
import type { Ground, Peers, Proof } from './node.ts'
import { RoutedLog } from './receipts/routed.ts'
import type { Replication } from './receipts/sync/replication.ts'
import { version } from './version.ts'

/** With the data folder, of a peer that has one. */
type HttpGround = Ground & { folder: string | undefined }

/** The HTTP surface over everything else; undefined where there is to be none. */
export async function buildHttp(
  { prom: metrics, ...ground }: HttpGround & { prom: PromMetrics | undefined },
  peers: Peers,
  { receipts: ofAccounts, requests, feeds, replication }: Proof & { replication: Replication },
): Promise<HttpServer | undefined> {
  const { config, verify } = ground
  if (config.http === null || metrics === undefined) return undefined
  const { host, port } = config.http
  const loopback = isLoopback(host)
  const { network, bootstrap, mdns } = config
  const joins = { network, bootstrap: bootstrap.length, mdns }
  const { coordinator, discovery, describe, load } = peers
  const limiter = new RateLimiter(ground)
  const paid = paidMarket(coordinator, ground.till)
  const market = marketBehind(paid, (generate) => limited(generate, limiter, needOf))
  const { receipts } = replication
  const { publicKey } = ground.identity
  const log = new RoutedLog({ feeds, requests }, { author: publicKey })
  const shown = { describe, load, directory: discovery.directory }
  // One for both surfaces: what it fetches at once is limited.
  const images = new ImageFetcher(ground)
  const parts = { ...ground, ...shown, metrics, market, limiter, receipts, images }
  const proving = {
    ...{ receipts, ofAccounts, clock: ground.clock },
    verifying: { network, verify },
  }
  const openai = [
    chatRoutes(parts),
    completionRoutes(parts),
    embeddingRoutes(parts),
    modelRoutes(parts),
    routingReceiptRoutes(proving),
    usageRoutes(parts),
  ]
  const routes = [
    // Clients differ in whether the base address they are given ends in /v1.
    ...openai.map((route) => mounted(route, '/v1', [''])),
    mounted(keyRoutes(parts), '/api/v1'),
    mounted(creditRoutes({ ...parts, log }), '/api/v1'),
    mounted(webhookRoutes(parts), '/api/v1'),
    mounted(productRoutes(productParts(parts)), '/api/v1'),
    networkRoutes({ ...parts, market: coordinator, feeds }),
    logRoutes({ feeds }),
    receiptRoutes(proving),
    ...backupOf(ground),
    healthRoutes(parts, { version, loopback, joins }),
    openApiRoutes({ version }),
    pageRoutes(),
  ]
  const { insecureHttp, corsOrigins, hostNames } = config
  const drainMs = config.drain * 1_000
  const tls = config.tls === null ? undefined : await readTls(config.tls)
  const endWork = () => {
    coordinator.stop().catch(() => {})
  }
  const idempotency = new Idempotency({ ...ground, wasSettled: (id) => requests.has(id) })
  return new HttpServer(
    { ...parts, idempotency, endWork },
    { host, port, insecureHttp, corsOrigins, hostNames, drainMs, routes, tls },
  )
}

function backupOf({ folder, ...ground }: HttpGround): RouteModule[] {
  if (folder === undefined) return []
  const { ownerKey, identity } = ground
  const options = { folder, peerId: identity.peerId, program: version }
  const backup = (signal: AbortSignal) => encodeRecords(gathered(ground, { ...options, signal }))
  return [mounted(backupRoutes({ ownerKey, backup }), '/api/v1')]
}

/** What is kept for accounts, over HTTP alone. */
function productParts<T extends Ground>({ files, ...parts }: T) {
  const sessions = new SessionStore(parts)
  const secret = parts.identity.secretFor('file-links')
  const links = new FileLinks({ secret, clock: parts.clock })
  return { ...parts, sessions, files: files && { files, links } }
}

async function readTls(files: { certFile: string; keyFile: string }) {
  const read = (setting: string, path: string) =>
    readFile(path, 'utf8').catch((error: unknown) => {
      throw new InvalidError(setting, `--${setting}: cannot read ${path}: ${messageOf(error)}.`)
    })
  return {
    certPem: await read('tls-cert', files.certFile),
    keyPem: await read('tls-key', files.keyFile),
  }
}
