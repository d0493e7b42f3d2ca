import { InvalidError, PeerError } from '../../base/errors.ts'
import {
  type AnswerFormat,
  type Calling,
  type FunctionCall,
  namePattern,
  type OfferedFunction,
  SchemaTexts,
} from '../../wire/functions.ts'
import type { ChatWork } from '../../wire/job.ts'
import type { ChatRequest } from './chat-schema.ts'

type Tool = NonNullable<ChatRequest['tools']>[number]
type Offered = Pick<ChatWork, 'functions' | 'calling' | 'oneCall' | 'format'>

/** What a request offers the model to call, and how it wants the answer. */
export function toOffered(body: ChatRequest): Offered {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = body
  const schemas = new SchemaTexts()
  const functions = (tools ?? []).map((_, at, all) => toFunction(all, at, schemas))
  const format = toFormat(body.response_format, schemas)
  const calling = toCalling(choice, functions)
  if (functions.length === 0) return { ...(format && { format }) }
  if (body.logprobs === true) throw notTogether('logprobs')
  return {
    functions,
    ...(calling && { calling }),
    ...(parallel === false && { oneCall: true }),
    ...(format && { format }),
  }
}

const notTogether = (param: string) =>
  new PeerError(
    'unsupported_parameter',
    `Unsupported parameter: '${param}' does not take this value together with 'tools'.`,
    { param },
  )

function toFunction(tools: readonly Tool[], at: number, schemas: SchemaTexts): OfferedFunction {
  const { function: said } = tools[at] as Tool
  const where = `tools[${at}].function`
  const { description, parameters, strict } = said
  const name = checkedName(said.name, `${where}.name`)
  if (tools.findIndex((other) => other.function.name === name) < at) {
    throw new InvalidError(`${where}.name`, `Invalid '${where}.name': there are two of this name.`)
  }
  const schema =
    parameters == null ? undefined : schemaText(parameters, `${where}.parameters`, schemas)
  return {
    name,
    ...(description != null && { description }),
    ...(schema !== undefined && { parameters: schema }),
    ...(strict != null && { strict }),
  }
}

function toCalling(
  choice: ChatRequest['tool_choice'],
  functions: readonly OfferedFunction[],
): Calling | undefined {
  if (choice == null || choice === 'auto') return undefined
  if (functions.length === 0) {
    if (choice === 'none') return undefined
    const message = "Invalid 'tool_choice': it is only allowed together with 'tools'."
    throw new InvalidError('tool_choice', message)
  }
  if (typeof choice === 'string') return { mode: choice }
  const { name } = choice.function
  if (functions.some((offered) => offered.name === name)) return { mode: 'required', name }
  const param = 'tool_choice.function.name'
  throw new InvalidError(param, `Invalid '${param}': 'tools' has no function of this name.`)
}

function toFormat(
  format: ChatRequest['response_format'],
  schemas: SchemaTexts,
): AnswerFormat | undefined {
  if (format == null) return undefined
  const { type, json_schema: asked } = format
  const param = 'response_format.json_schema'
  if (type !== 'json_schema') {
    if (asked != null) {
      const message = `Invalid '${param}': only allowed with the type 'json_schema'.`
      throw new InvalidError(param, message)
    }
    return type === 'text' ? undefined : { type: 'json' }
  }
  const missing = asked == null ? param : asked.schema == null ? `${param}.schema` : undefined
  if (asked?.schema == null) {
    const message = `Missing required parameter: '${missing}'.`
    throw new InvalidError(missing, message, 'missing_required_parameter')
  }
  const { description, strict } = asked
  return {
    type: 'schema',
    name: checkedName(asked.name, `${param}.name`),
    ...(description != null && { description }),
    schema: schemaText(asked.schema, `${param}.schema`, schemas),
    ...(strict != null && { strict }),
  }
}

type Message = ChatRequest['messages'][number]

/** Of an earlier answer; undefined where it has none. */
export function toCalls(message: Message, where: string): FunctionCall[] | undefined {
  const { role, tool_calls: calls } = message
  if (calls == null || calls.length === 0) return undefined
  if (role !== 'assistant') throw notOfRole(`${where}.tool_calls`, 'assistant')
  return calls.map(({ id, function: { name, arguments: said } }, at) => ({
    id,
    name: checkedName(name, `${where}.tool_calls[${at}].function.name`),
    arguments: said,
  }))
}

/** Which of the calls before it a message answers; undefined where it is none of a tool. */
export function toCallId(
  { role, tool_call_id: id }: Message,
  where: string,
  asked: ReadonlySet<string>,
): string | undefined {
  const param = `${where}.tool_call_id`
  if (role !== 'tool') {
    if (id != null) throw notOfRole(param, 'tool')
    return undefined
  }
  if (id == null) {
    const message = `Missing required parameter: '${param}'.`
    throw new InvalidError(param, message, 'missing_required_parameter')
  }
  if (asked.has(id)) return id
  const message = `Invalid '${param}': no assistant message before it has a tool call of this id.`
  throw new InvalidError(param, message)
}

const notOfRole = (param: string, role: string) =>
  new InvalidError(param, `Invalid '${param}': only messages of the role '${role}' have it.`)

function checkedName(name: string, param: string): string {
  if (namePattern.test(name)) return name
  const message = `Invalid '${param}': expected 1 to 64 letters, digits, underscores and dashes.`
  throw new InvalidError(param, message)
}

function schemaText(schema: object, param: string, schemas: SchemaTexts): string {
  const text = JSON.stringify(schema)
  try {
    return schemas.check(text, param)
  } catch (error) {
    const why = error instanceof PeerError ? error.message : `${param} is no JSON Schema.`
    throw new InvalidError(param, `Invalid '${param}': ${why}`)
  }
}
