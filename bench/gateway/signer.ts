/** Signs, in a thread of its own, as often as it is asked to, and says so. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

const { privateKey } = generateKeyPairSync('ed25519')
const signed = Buffer.alloc(32)

parentPort?.on('message', (count: number) => {
  for (let left = count; left > 0; left--) sign(null, signed, privateKey)
  parentPort?.postMessage(count)
})
