import { createHash, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { BusyError, PeerError } from '../base/errors.ts'
import { isLoopback } from '../base/loopback.ts'
import { secretOf } from './auth.ts'
import { closeSignal } from './client-signal.ts'
import type { RouteModule } from './route.ts'

export interface BackupComponents {
  ownerKey: string
  /** All rows and files of this peer, as one answer. */
  backup(signal: AbortSignal): AsyncIterable<Uint8Array>
}

/**
 * What `pinaivu-peer backup` asks of a running peer; mount it at `/api/v1`. It is not listed: its answer
 * has the content of all accounts, and is for programs on this machine that can read the owner's key.
 */
export function backupRoutes({ ownerKey, backup }: BackupComponents): RouteModule {
  return (app) => {
    let isRunning = false
    app.post(
      '/backup',
      { config: { access: 'keys:manage' }, schema: { hide: true } },
      (request, reply) => {
        checkOwner(request, ownerKey)
        // Each holds back what the disk could be rid of.
        if (isRunning) throw new BusyError('A backup is being made. Ask again when it is done.')
        isRunning = true
        const signal = AbortSignal.any([closeSignal(reply), app.closing])
        const answer = async function* () {
          try {
            yield* backup(signal)
          } finally {
            isRunning = false
          }
        }
        const stream = Readable.from(answer(), { objectMode: false })
        // It ends before it begins where the client left at once.
        stream.once('close', () => {
          isRunning = false
        })
        return reply.type('application/octet-stream').send(stream)
      },
    )
  }
}

function checkOwner({ headers, raw }: FastifyRequest, ownerKey: string): void {
  const isOwner = timingSafeEqual(digest(secretOf(headers)), digest(ownerKey))
  // Whoever comes through a proxy comes from elsewhere.
  const isProxied = headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined
  if (isOwner && !isProxied && isFromHere(raw.socket)) return
  throw new PeerError(
    'insufficient_scope',
    "Backups are made on this peer's machine, with the owner's key: run `pinaivu-peer backup` there.",
  )
}

/** Whether a program of this machine is at the other end: its own address is nobody else's. */
export function isFromHere({
  remoteAddress,
  localAddress,
}: {
  remoteAddress?: string | undefined
  localAddress?: string | undefined
}): boolean {
  if (remoteAddress === undefined) return false
  return isLoopback(remoteAddress.replace(/^::ffff:/, '')) || remoteAddress === localAddress
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
