import type { ProbedModel } from '../engines/llama/probe.ts'
import type { ModelFile } from '../engines/model-store.ts'
import { advised, type Found, fail, ok, skip, warn } from './finding.ts'
import type { PeerSeen, RunningModel } from './peer-seen.ts'
import { bytesText, counted } from './text.ts'

/** What a model and its answers are kept in. */
export interface Memory {
  ramBytes: number
  vramBytes: number
}

/** Of the memory: the rest is for answers, and for the machine's other work. */
const SHARE = 0.9

/** Whether each model can be loaded, as the running peer says or as its file looks. */
export function models(
  seen: PeerSeen,
  files: readonly ModelFile[],
  probed: readonly ProbedModel[],
  memory: Memory,
): Found[] {
  if (seen.type === 'answers') return ofRunning(seen.peer.models)
  if (files.length === 0) return [ok('No model is served here: --no-demo, and no --model.')]
  const faults = files.flatMap(withDraft).flatMap((file) => {
    const found = probed.find(({ path }) => path === file.path)
    return found === undefined ? [] : faultOf(file, found, memory)
  })
  if (faults.length > 0) return faults
  const sizeBytes = probed.reduce((sum, each) => sum + each.sizeBytes, 0)
  const room = memory.ramBytes + memory.vramBytes
  if (sizeBytes > room * SHARE) {
    return [
      warn(
        'models_too_large',
        `Each model fits into memory, but not all: they have ${bytesText(sizeBytes)}, and this ` +
          `machine ${bytesText(room)}.`,
        'Serve fewer, or smaller quants.',
      ),
    ]
  }
  const what = counted(files.length, 'model')
  return [ok(`${what} of ${bytesText(sizeBytes)} can be loaded, as far as their heads tell.`)]
}

/** One that comes from elsewhere, by the words it is configured with. */
export const notFetched = (from: string): Found =>
  warn(
    'model_not_fetched',
    `${from} is not on this machine yet.`,
    `A start fetches it first; to have it before: pinaivu-peer models pull ${from}`,
  )

/** A model, and what drafts for it. */
function withDraft(model: ModelFile): (ModelFile & { option: string })[] {
  const { name, demo, draft } = model
  const own = { ...model, option: '--model' }
  if (draft === undefined) return [own]
  return [own, { name: `the drafter of ${name}`, path: draft, demo, option: '--draft' }]
}

function ofRunning(all: readonly RunningModel[]): Found[] {
  const failed = all.filter(({ state }) => state === 'failed')
  const restarting = all.filter(({ state }) => state === 'restarting')
  const faults = [
    ...failed.map(({ name, error }) => {
      const code = error?.code ?? 'model_failed'
      return withNext(name, code, error?.message ?? `It could not be loaded (${code}).`)
    }),
    ...restarting.map(({ name }) =>
      warn(
        'model_restarting',
        `${name}: its engine ended and is restarted.`,
        'If it comes again, look at what the peer logged of it: too little memory is the usual cause.',
      ),
    ),
  ]
  if (faults.length > 0) return faults
  if (all.length === 0) return [ok('The running peer serves no model.')]
  const loading = all.filter(({ state, unloaded }) => state !== 'ready' && unloaded !== true)
  if (loading.length === all.length) return [skip('The running peer still loads its models.')]
  return [ok(`${counted(all.length - loading.length, 'model')} of ${all.length} ready.`)]
}

function faultOf(
  file: ModelFile & { option: string },
  { sizeBytes, error }: ProbedModel,
  memory: Memory,
): Found[] {
  const { name, path, demo, option } = file
  if (error !== undefined && error.code === 'model_file_missing') {
    const next = demo ? 'Install pinaivu-peer again.' : `Check the path given with ${option}.`
    return [fail(error.code, `${name}: there is no file ${path}.`, next)]
  }
  if (error !== undefined) return [withNext(name, error.code, error.message)]
  const room = memory.ramBytes + memory.vramBytes
  if (sizeBytes <= room * SHARE) return []
  return [
    fail(
      'model_too_large',
      `${name} does not fit into memory: it has ${bytesText(sizeBytes)}, and this machine ` +
        `${bytesText(memory.ramBytes)}${vramText(memory)}.`,
      'Serve a smaller model or a smaller quant, or let the peer use more memory.',
    ),
  ]
}

const vramText = ({ vramBytes }: Memory): string =>
  vramBytes > 0 ? ` and ${bytesText(vramBytes)} of the graphics card` : ''

function withNext(name: string, code: string, message: string): Found {
  return advised('fail', code, message.startsWith(name) ? message : `${name}: ${message}`)
}
