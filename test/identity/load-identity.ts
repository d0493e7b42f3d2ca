// Prints the peer id of the data folder given as first argument, making its key when there is none.
import { systemRandom } from '../../src/base/random.ts'
import { loadIdentity } from '../../src/identity/key-file.ts'

const identity = await loadIdentity(process.argv[2] ?? '', { random: systemRandom })
process.stdout.write(`${identity.peerId}\n`)
