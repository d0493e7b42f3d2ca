import type { Json } from './canonical-json.ts'
import {
  type AnswerFormat,
  type Calling,
  type FunctionCall,
  functionLimits,
  namePattern,
  type OfferedFunction,
  SchemaTexts,
} from './functions.ts'
import { imageTypeOf } from './image-type.ts'
import { type ContentPart, type Image, type ImageType, imageLimits, imageTypes } from './images.ts'
import { type ChatWork, limits, type Message, type Role } from './job.ts'
import { checkKeys, isObject, readArray, readObject, readString } from './json-reader.ts'
import { malformed, unsupported } from './malformed.ts'

// What a body of KIND_CHAT asks for, beside its sampling. A word that is not known (of a role, a mode or
// a type) is told last, after all that is malformed: so it is read first and looked up afterwards.

const { functionsMax, callsMax, callIdCharsMax } = functionLimits

const roles: readonly Role[] = ['system', 'user', 'assistant', 'result']
const modes: readonly Calling['mode'][] = ['none', 'required']
const details = ['low', 'high'] as const
const formats: readonly AnswerFormat['type'][] = ['json', 'schema']

const messageKeys = ['role', 'content', 'parts', 'calls', 'call']
const partKeys = ['text', 'image']
const imageKeys = ['type', 'data', 'detail']
const callKeys = ['id', 'name', 'arguments']
const functionKeys = ['name', 'description', 'parameters', 'strict']
const formatKeys = ['type', 'name', 'description', 'schema', 'strict']

type Fields = Readonly<Record<string, Json | undefined>>
type Parts = Omit<ChatWork, 'kind' | 'sampling'>
type Read<T, K extends string> = Omit<T, K> & Record<K, string>

/** Before anything else: a field of a newer version may lift what is asked of the others. */
export function checkChatKeys({ messages, functions, calling, format }: Fields): void {
  eachOf(messages, 'messages', (message, where) => {
    checkKeys(message, where, messageKeys)
    const { calls, parts } = isObject(message) ? message : {}
    eachOf(parts, `${where}.parts`, (part, at) => {
      checkKeys(part, at, partKeys)
      if (isObject(part)) checkKeys(part.image, `${at}.image`, imageKeys)
    })
    eachOf(calls, `${where}.calls`, (call, at) => checkKeys(call, at, callKeys))
  })
  eachOf(functions, 'functions', (each, where) => checkKeys(each, where, functionKeys))
  checkKeys(calling, 'calling', ['mode', 'name'])
  checkKeys(format, 'format', formatKeys)
}

function eachOf(list: Json | undefined, where: string, check: (value: Json, at: string) => void) {
  if (!Array.isArray(list)) return
  for (const [at, value] of list.entries()) check(value, `${where}[${at}]`)
}

type ReadImage = Read<Omit<Image, 'detail'>, 'type'> & { detail?: string }
type ReadPart = { text: string } | { image: ReadImage }
type ReadMessage = Read<Omit<Message, 'parts'>, 'role'> & { parts?: ReadPart[] }

export type ChatParts = {
  messages: ReadMessage[]
  functions?: OfferedFunction[] | undefined
  calling?: Read<Calling, 'mode'> | undefined
  oneCall?: true | undefined
  format?: Read<AnswerFormat, 'type'> | undefined
}

export function readChat(fields: Fields): ChatParts {
  const range = { min: 1, max: limits.messagesMax }
  const offered = { min: 1, max: functionsMax }
  const schemas = new SchemaTexts()
  const parts: ChatParts = {
    messages: readArray(fields.messages, 'messages', range, readMessage),
    functions: optional(fields.functions, (each) =>
      readArray(each, 'functions', offered, (one, where) => readFunction(one, where, schemas)),
    ),
    calling: optional(fields.calling, readCalling),
    oneCall: optional(fields.one_call, (value) => readTrue(value, 'one_call')),
    format: optional(fields.format, (each) => readFormat(each, schemas)),
  }
  checkTogether(parts)
  return parts
}

/** The same, once nothing in it is malformed: throws for a word of a newer version. */
export function known({ messages, functions, calling, oneCall, format }: ChatParts): Parts {
  return {
    messages: messages.map(({ parts, ...message }, at) => ({
      ...message,
      role: wordOf(roles, message.role, `messages[${at}].role`),
      ...(parts && {
        parts: parts.map((part, of) => knownPart(part, `messages[${at}].parts[${of}]`)),
      }),
    })),
    ...(functions && { functions }),
    ...(calling && { calling: { ...calling, mode: wordOf(modes, calling.mode, 'calling.mode') } }),
    ...(oneCall && { oneCall }),
    ...(format && { format: { ...format, type: wordOf(formats, format.type, 'format.type') } }),
  }
}

function knownPart(part: ReadPart, where: string): ContentPart {
  if ('text' in part) return part
  const { type, data, detail } = part.image
  const word = detail === undefined ? undefined : wordOf(details, detail, `${where}.image.detail`)
  return {
    image: {
      type: wordOf(imageTypes, type, `${where}.image.type`),
      data,
      ...(word && { detail: word }),
    },
  }
}

function wordOf<T extends string>(words: readonly T[], said: string, where: string): T {
  const word = words.find((each) => each === said)
  if (word !== undefined) return word
  throw unsupported('unsupported_value', where, 'is not a word that is known here')
}

function readMessage(value: Json, where: string): ReadMessage {
  const fields = readObject(value, where)
  const role = readString(fields.role, `${where}.role`)
  const content = readString(fields.content, `${where}.content`)
  const range = { min: 1, max: callsMax }
  const calls = optional(fields.calls, (each) => readArray(each, `${where}.calls`, range, readCall))
  const callId = optional(fields.call, (id) => readId(id, `${where}.call`))
  const parts = optional(fields.parts, (each) =>
    readArray(each, `${where}.parts`, { min: 1, max: limits.messagesMax }, readPart),
  )
  return {
    role,
    content,
    ...(parts && { parts }),
    ...(calls && { calls }),
    ...(callId !== undefined && { callId }),
  }
}

function readPart(value: Json, where: string): ReadPart {
  const { text, image } = readObject(value, where)
  if ((text === undefined) === (image === undefined)) {
    throw malformed(where, 'is not either a text or an image')
  }
  if (text !== undefined) return { text: readString(text, `${where}.text`) }
  const fields = readObject(image, `${where}.image`)
  const detail = textIn(fields, 'detail', `${where}.image`)
  return {
    image: {
      type: readString(fields.type, `${where}.image.type`),
      data: readString(fields.data, `${where}.image.data`),
      ...(detail !== undefined && { detail }),
    },
  }
}

function readCall(value: Json, where: string): FunctionCall {
  const fields = readObject(value, where)
  return {
    id: readId(fields.id, `${where}.id`),
    name: readName(fields.name, `${where}.name`),
    arguments: readString(fields.arguments, `${where}.arguments`),
  }
}

function readFunction(value: Json, where: string, schemas: SchemaTexts): OfferedFunction {
  const fields = readObject(value, where)
  const schema = textIn(fields, 'parameters', where)
  if (schema !== undefined) schemas.check(schema, `${where}.parameters`)
  return {
    name: readName(fields.name, `${where}.name`),
    ...described(fields, where),
    ...(schema !== undefined && { parameters: schema }),
  }
}

function readCalling(value: Json): Read<Calling, 'mode'> {
  const fields = readObject(value, 'calling')
  const mode = readString(fields.mode, 'calling.mode')
  const name = optional(fields.name, (each) => readName(each, 'calling.name'))
  return { mode, ...(name !== undefined && { name }) }
}

function readFormat(value: Json, schemas: SchemaTexts): Read<AnswerFormat, 'type'> {
  const fields = readObject(value, 'format')
  const name = optional(fields.name, (each) => readName(each, 'format.name'))
  const schema = textIn(fields, 'schema', 'format')
  if (schema !== undefined) schemas.check(schema, 'format.schema')
  return {
    type: readString(fields.type, 'format.type'),
    ...(name !== undefined && { name }),
    ...described(fields, 'format'),
    ...(schema !== undefined && { schema }),
  }
}

function described(fields: Fields, where: string): { description?: string; strict?: boolean } {
  const description = textIn(fields, 'description', where)
  const strict = optional(fields.strict, (value) => readBoolean(value, `${where}.strict`))
  return {
    ...(description !== undefined && { description }),
    ...(strict !== undefined && { strict }),
  }
}

/** What a field says of another. */
function checkTogether({ messages, functions, calling, oneCall, format }: ChatParts): void {
  checkImages(messages)
  messages.forEach(({ role, content, parts, calls, callId }, at) => {
    if (!roles.includes(role as Role)) return
    if (calls !== undefined && role !== 'assistant') {
      throw malformed(`messages[${at}].calls`, 'does not go with its role')
    }
    if (parts !== undefined && (role !== 'user' || content !== '')) {
      throw malformed(`messages[${at}].parts`, 'do not go with its role and content')
    }
    if ((callId !== undefined) !== (role === 'result')) {
      throw malformed(`messages[${at}].call`, 'does not go with its role')
    }
  })
  const names = new Set(functions?.map(({ name }) => name))
  if (names.size < (functions?.length ?? 0)) throw malformed('functions', 'do not go together')
  if (oneCall && !functions) throw malformed('one_call', 'goes with functions alone')
  if (calling !== undefined) checkCalling(calling, names)
  if (format !== undefined) checkFormat(format)
}

function checkImages(messages: readonly ReadMessage[]): void {
  const images = messages.flatMap(({ parts = [] }) =>
    parts.flatMap((part) => ('image' in part ? part.image : [])),
  )
  if (images.length > imageLimits.imagesMax) {
    throw malformed('messages', `do not go with more than ${imageLimits.imagesMax} images`)
  }
  for (const { type, data } of images) {
    const file = Buffer.from(data, 'base64')
    const isBase64 = data !== '' && file.toString('base64') === data
    const isKnown = imageTypes.includes(type as ImageType)
    if (!isBase64 || (isKnown && imageTypeOf(file) !== type)) {
      throw malformed('messages', 'do not go with an image that is none of its type')
    }
  }
}

function checkCalling({ mode, name }: Read<Calling, 'mode'>, names: ReadonlySet<string>): void {
  if (names.size === 0) throw malformed('calling', 'goes with functions alone')
  if (name === undefined || !modes.includes(mode as Calling['mode'])) return
  if (mode === 'none' || !names.has(name)) {
    throw malformed('calling.name', 'does not go with the functions')
  }
}

function checkFormat({ type, name, description, schema, strict }: Read<AnswerFormat, 'type'>) {
  const isBare = [name, description, schema, strict].every((each) => each === undefined)
  if (type === 'json' && !isBare) throw malformed('format', 'does not go with its type')
  if (type === 'schema' && (name === undefined || schema === undefined)) {
    throw malformed('format.schema', 'goes with its type, as the name does')
  }
}

/** A member may be missing; null is none that is. */
function optional<T>(value: Json | undefined, read: (value: Json) => T): T | undefined {
  return value === undefined ? undefined : read(value)
}

const textIn = (fields: Fields, key: string, where: string): string | undefined =>
  optional(fields[key], (value) => readString(value, `${where}.${key}`))

function readName(value: Json | undefined, where: string): string {
  const name = readString(value, where)
  if (namePattern.test(name)) return name
  throw malformed(where, 'is not a name of 1 to 64 letters, digits, _ and -')
}

function readId(value: Json | undefined, where: string): string {
  const id = readString(value, where)
  const length = id.length > 2 * callIdCharsMax ? id.length : [...id].length
  if (length >= 1 && length <= callIdCharsMax) return id
  throw malformed(where, `has not between 1 and ${callIdCharsMax} characters`)
}

function readBoolean(value: Json, where: string): boolean {
  if (typeof value === 'boolean') return value
  throw malformed(where, 'is neither true nor false')
}

function readTrue(value: Json, where: string): true {
  if (value === true) return true
  throw malformed(where, 'is not true')
}
