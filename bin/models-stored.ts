import {
  type Fit,
  findDataDir,
  type OwnModels,
  openOwnModels,
  type StoredModel,
  type Unfinished,
} from '../src/index.ts'
import type { Command, Input } from './command.ts'
import { columnsOf, exitCodes, type Io, print, tableWidthOf, UsageError } from './io.ts'
import { bytesText, countText } from './model-text.ts'
import { type Column, labelled, paintFor, safeJson, safeLine, table, wrap } from './text.ts'

export const modelsList: Command = {
  name: 'models list',
  summary: 'List the models that are stored on this machine.',
  options: [],
  details: [
    'FIT says whether one can be loaded now: the context that fits beside its weights into the free ' +
      'memory, or how much is missing. What the running peer serves is listed by "pinaivu-peer models".',
  ],
  examples: [
    ['pinaivu-peer models list', 'Name, size and fit of each'],
    ['pinaivu-peer models list --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const models = await openModels(input, io)
    const [all, unfinished] = await Promise.all([models.list(), models.unfinished()])
    const stored = await Promise.all(all.map((model) => fitted(models, model)))
    if (input.json) {
      print(io.stdout, safeJson([...stored.map(modelJson), ...unfinished.map(unfinishedJson)]))
    } else print(io.stdout, ...listLines(stored, unfinished, io))
    return exitCodes.done
  },
}

export const modelsShow: Command = {
  name: 'models show',
  operands: 'NAME',
  operandsMax: 1,
  summary: 'Show all that is known of a stored model.',
  options: [],
  examples: [
    ['pinaivu-peer models show llama3.2:1b', 'Where it came from, its files with their SHA-256'],
    ['pinaivu-peer models show llama3.2:1b --json', 'For programs: one object'],
  ],
  async run(input, io) {
    const name = nameOf(input, 'show')
    const models = await openModels(input, io)
    const model = await fitted(models, await models.get(name))
    print(io.stdout, ...(input.json ? [safeJson(modelJson(model))] : showLines(model, io)))
    return exitCodes.done
  },
}

export const modelsRemove: Command = {
  name: 'models rm',
  operands: 'NAME',
  operandsMax: 1,
  summary: 'Remove a stored model, or what an unfinished pull has left.',
  options: [],
  details: ['A model that the running peer serves is not removed.'],
  examples: [['pinaivu-peer models rm llama3.2:1b', 'Its files are deleted']],
  async run(input, io) {
    const name = nameOf(input, 'rm')
    const models = await openModels(input, io)
    const removed = await models.remove(name)
    const { name: its, sizeBytes } = removed
    if (input.json) print(io.stdout, safeJson({ removed: its, size_bytes: sizeBytes }))
    else print(io.stdout, safeLine(`${its} is removed: ${bytesText(sizeBytes)} are free again.`))
    return exitCodes.done
  },
}

const openModels = (input: Input, io: Io) =>
  openOwnModels(
    { dataDir: findDataDir({ flags: input.values, env: io.env }), modelQuota: undefined },
    { env: io.env },
  )

function nameOf({ operands: [name] }: Input, verb: string): string {
  if (name !== undefined) return name
  throw new UsageError(`Say which: models ${verb} NAME. "models list" has the names.`)
}

/** A model, and whether it fits into what is free now. */
type Fitted = StoredModel & { fit: Fit | undefined }

const fitted = async (models: OwnModels, model: StoredModel): Promise<Fitted> => ({
  ...model,
  fit: await models.fit(model),
})

export function modelJson(model: StoredModel & { fit?: Fit | undefined }) {
  const { name, uri, id, path, sizeBytes, files, commit, licence, facts, pulledAt, fault } = model
  return {
    ...{ name, state: fault === undefined ? 'stored' : 'damaged', uri, id, path },
    kind: facts?.kind ?? null,
    architecture: facts?.architecture ?? null,
    parameters: facts?.parameters ?? null,
    quant: facts?.quant ?? null,
    context_length: facts?.contextLength ?? null,
    size_bytes: sizeBytes,
    fit: model.fit === undefined ? null : fitJson(model.fit),
    files: files.map((file) => ({ ...file, size_bytes: file.sizeBytes, sizeBytes: undefined })),
    commit: commit ?? null,
    licence: licence ?? null,
    pulled_at: new Date(pulledAt).toISOString(),
    fault: fault ?? null,
  }
}

const fitJson = ({ fits, contextLength, needsBytes, freeBytes }: Fit) => ({
  fits,
  context_length: contextLength,
  needs_bytes: needsBytes,
  free_bytes: freeBytes,
})

const unfinishedJson = ({ name, uri, receivedBytes, sizeBytes }: Unfinished) => ({
  ...{ name, state: 'unfinished', uri },
  received_bytes: receivedBytes,
  size_bytes: sizeBytes ?? null,
})

const columns: readonly Column[] = [
  { title: 'NAME', widthMax: 50, shrink: true },
  { title: 'ARCH', widthMax: 12 },
  { title: 'PARAMS', align: 'right' },
  { title: 'QUANT', widthMax: 10 },
  { title: 'CONTEXT', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'FIT' },
  { title: 'CID', widthMax: 64, shrink: true },
]

function listLines(
  stored: readonly Fitted[],
  unfinished: readonly Unfinished[],
  io: Pick<Io, 'stdout' | 'env'>,
): string[] {
  if (stored.length + unfinished.length === 0) {
    const text = 'No model is stored here. Fetch one: pinaivu-peer models pull llama3.2:1b'
    return wrap(text, columnsOf(io.stdout))
  }
  const paint = paintFor(io.stdout, io.env)
  const rows = [...stored.map(cellsOf), ...unfinished.map(unfinishedCells)]
  const damaged = stored.filter(({ fault }) => fault !== undefined)
  return [
    ...table(columns, rows, tableWidthOf(io.stdout), paint),
    ...damaged.map(
      ({ name, fault = '' }) => `${paint('red', 'damaged')} ${safeLine(`${name}: ${fault}`)}`,
    ),
  ]
}

function cellsOf(model: Fitted): string[] {
  const { name, facts, sizeBytes, fault, fit, id } = model
  return [
    name,
    facts?.architecture ?? '-',
    facts === undefined ? '-' : countText(facts.parameters),
    facts?.quant ?? '-',
    facts === undefined ? '-' : String(facts.contextLength),
    bytesText(sizeBytes),
    fault === undefined ? fitText(fit) : 'damaged',
    id.replace(/^cid:/, ''),
  ]
}

function unfinishedCells({ name, receivedBytes, sizeBytes }: Unfinished): string[] {
  const part =
    sizeBytes === undefined || sizeBytes === 0
      ? ''
      : ` ${Math.floor((100 * receivedBytes) / sizeBytes)}%`
  return [name, '-', '-', '-', '-', bytesText(sizeBytes ?? receivedBytes), `unfinished${part}`, '-']
}

/** `yes`, `context 8192`, `lacks 3.2 GiB`. */
function fitText(fit: Fit | undefined): string {
  if (fit === undefined) return '-'
  const { fits, isWhole, contextLength, needsBytes, freeBytes } = fit
  if (!fits) return `lacks ${bytesText(needsBytes - freeBytes)}`
  return isWhole ? 'yes' : `context ${contextLength}`
}

function showLines(model: Fitted, io: Pick<Io, 'stdout' | 'env'>): string[] {
  const { name, uri, id, files, sizeBytes, facts, licence, commit, path, pulledAt, fault, fit } =
    model
  const memory = fit && `needs ${bytesText(fit.needsBytes)}, free ${bytesText(fit.freeBytes)}`
  const kind = facts && [
    `${facts.kind}, ${facts.architecture}, ${countText(facts.parameters)} parameters, ${facts.quant}`,
  ]
  const rows: (readonly [string, readonly string[]])[] = [
    ['Name', [name]],
    ['From', [commit === undefined ? uri : `${uri} at ${commit.slice(0, 12)}`]],
    ['Model', kind ?? ['not known']],
    ['Context', facts === undefined ? ['not known'] : [`${facts.contextLength} tokens`]],
    ['Size', [bytesText(sizeBytes)]],
    ['Fit', [memory === undefined ? 'not known' : `${fitText(fit)} (${memory})`]],
    ['CID', [id.replace(/^cid:/, '')]],
    ['Licence', [licence === undefined ? 'none is named' : licence.id, licence?.link ?? []].flat()],
    ['Pulled', [new Date(pulledAt).toISOString()]],
    ['File', [path]],
    ['SHA-256', files.map((file) => `${file.sha256}  ${file.name}`)],
    ...(fault === undefined ? [] : [['Damaged', [fault]] as const]),
  ]
  return labelled(rows, paintFor(io.stdout, io.env))
}
