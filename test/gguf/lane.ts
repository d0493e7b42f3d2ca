import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dequantise } from './dequantise.ts'
import { type LlamaShape, slowShape, writeModel } from './llama-model.ts'

// Models for runs that are compared token by token. In F32, and with `--reproducible`, an answer that
// was interrupted goes on with what it would have been. Too large for the repository: each is made
// when it is first asked for. `node test/gguf/lane.ts` makes all and prints where they are.

const folder = join(tmpdir(), 'pinaivu-lane')
const demo = join(dirname(fileURLToPath(import.meta.url)), '../../models/pinaivu-demo-q8_0.gguf')

/** The demo model: 21 MB, and some 40 ms for an answer. */
export function demoF32(): string {
  const path = pathFor('demo', readFileSync(demo))
  if (!existsSync(path)) dequantise(demo, path)
  return path
}

/** Random weights, with which 200 tokens take some seconds on one thread. */
export function slowF32(shape: LlamaShape = slowShape): string {
  const path = pathFor(shape.name, JSON.stringify(shape))
  if (!existsSync(path)) writeModel(path, shape)
  return path
}

/** Another content, another path: what an earlier version made is not taken for this one's. */
function pathFor(name: string, content: string | Buffer): string {
  mkdirSync(folder, { recursive: true })
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16)
  return join(folder, `${name}-f32-${hash}.gguf`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(demoF32())
  console.log(slowF32())
}
