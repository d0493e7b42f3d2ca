/** Signs in a thread of its own: what came together goes back together, in the same order. */
import { createPrivateKey, sign } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'

export interface Unsigned {
  /** One message behind the other. */
  bytes: Uint8Array
  /** Where each of them ends. */
  ends: readonly number[]
}

const SIGNATURE_BYTES = 64
const key = createPrivateKey({ key: Buffer.from(workerData), format: 'der', type: 'pkcs8' })

parentPort?.on('message', ({ bytes, ends }: Unsigned) => {
  const signatures = new Uint8Array(SIGNATURE_BYTES * ends.length)
  let start = 0
  for (const [at, end] of ends.entries()) {
    signatures.set(sign(null, bytes.subarray(start, end), key), SIGNATURE_BYTES * at)
    start = end
  }
  parentPort?.postMessage(signatures, [signatures.buffer])
})
