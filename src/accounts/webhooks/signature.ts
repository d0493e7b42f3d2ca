import { createHmac } from 'node:crypto'
import type { Random } from '../../base/random.ts'

const PREFIX = 'whsec_'
const SECRET_BYTES = 32

/** What an endpoint's deliveries are signed with: shown once, then kept to sign. */
export const newSecret = (random: Random): string =>
  PREFIX + Buffer.from(random.bytes(SECRET_BYTES)).toString('base64')

/** To recognise it by: `whsec_12...abc123`. */
export const previewOf = (secret: string): string =>
  `${secret.slice(0, PREFIX.length + 2)}...${secret.slice(-6)}`

export interface Signed {
  id: string
  /** Seconds since the epoch. */
  timestamp: number
  body: string
}

/** Standard Webhooks' header: one signature for each secret, of which the receiver knows one. */
export const signatures = ({ id, timestamp, body }: Signed, secrets: readonly string[]): string =>
  secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
      const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`)
      return `v1,${mac.digest('base64')}`
    })
    .join(' ')
