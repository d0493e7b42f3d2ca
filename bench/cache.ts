import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What takes long to make and is the same every time: the model, llama-server. */
export const cacheFolder = join(tmpdir(), 'pinaivu-bench')
