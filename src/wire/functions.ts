import { parseIJson } from './i-json.ts'
import { isObject } from './json-reader.ts'
import { malformed } from './malformed.ts'

/** What the model may ask the caller to do for it, instead of or beside saying something. */
export interface OfferedFunction {
  name: string
  description?: string
  /** A JSON Schema of an object, as text: the order of its members is the one to write them in. */
  parameters?: string
  /** The arguments are to be exactly as the schema says. */
  strict?: boolean
}

/** Without it, the model decides. */
export interface Calling {
  /** required: at least one, that of this name where there is one. */
  mode: 'none' | 'required'
  name?: string
}

/** What the model asked for, in an answer that is a part of the conversation. */
export interface FunctionCall {
  id: string
  name: string
  /** As the model wrote it: JSON, if it kept to that. */
  arguments: string
}

/** The answer is one JSON value: an object, or what the schema says. */
export interface AnswerFormat {
  type: 'json' | 'schema'
  name?: string
  description?: string
  /** As text, like that of a function. */
  schema?: string
  strict?: boolean
}

export const functionLimits = {
  /** As OpenAI has it. */
  functionsMax: 128,
  /** Of one answer. */
  callsMax: 128,
  /** Others' ids come back in conversations, and some of them are long. */
  callIdCharsMax: 256,
} as const

/** Of a function, and of a schema. */
export const namePattern = /^[A-Za-z0-9_-]{1,64}$/

/** Schemas are as deep as what they describe, twice. */
const schemaBounds = {
  depthMax: 64,
  valuesMax: 32_768,
  /** Three for each unit. */
  bytesMax: 3 * 1024 * 1024,
}
/** UTF-16, of all schemas of one request. */
const schemasUnitsMax = 1024 * 1024

/** The schemas of one request: a provider that reads them does nothing else meanwhile. */
export class SchemaTexts {
  #unitsLeft = schemasUnitsMax

  /** Throws for a text that is no JSON object, or too much beside those before it. */
  check(text: string, where: string): string {
    this.#unitsLeft -= text.length
    if (this.#unitsLeft < 0) {
      throw malformed(where, `is too long: all schemas together have ${schemasUnitsMax} characters`)
    }
    if (!isObject(parseIJson(text, where, schemaBounds))) {
      throw malformed(where, 'is no JSON object')
    }
    return text
  }
}
