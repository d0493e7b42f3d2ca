import { functionLimits } from '../../wire/functions.ts'
import {
  anyOf,
  anything,
  array,
  boolean,
  closed,
  integer,
  literal,
  object,
  oneOf,
  optional,
  optionalOrNull,
  record,
  string,
} from '../schema.ts'

const { functionsMax, callsMax, callIdCharsMax } = functionLimits

const name = string({
  minLength: 1,
  maxLength: 64,
  description: 'Letters, digits, underscores and dashes.',
})
const callId = string({ minLength: 1, maxLength: callIdCharsMax })
const jsonSchema = record(anything(), { description: 'A JSON Schema.' })

const functionType = oneOf(['function'], { 'x-unavailable': ['custom'] })

const tool = closed({
  type: functionType,
  function: closed({
    name,
    description: optionalOrNull(string()),
    parameters: optionalOrNull(jsonSchema),
    strict: optionalOrNull(boolean()),
  }),
})

/** What a request says of tools. */
export const toolFields = {
  tools: optionalOrNull(array(tool, { maxItems: functionsMax }), {
    description:
      'Functions that the model may ask for. Only of models that have `tools` among their capabilities.',
  }),
  tool_choice: optionalOrNull(
    anyOf([
      oneOf(['none', 'auto', 'required']),
      closed({ type: functionType, function: closed({ name }) }),
    ]),
    { description: 'Only together with tools. Absent: auto.' },
  ),
  parallel_tool_calls: optionalOrNull(boolean(), {
    description: 'false: one call at a time. Without tools of no effect.',
  }),
  response_format: optionalOrNull(
    closed({
      type: oneOf(['text', 'json_object', 'json_schema']),
      json_schema: optionalOrNull(
        closed({
          name,
          description: optionalOrNull(string()),
          schema: optionalOrNull(jsonSchema),
          strict: optionalOrNull(boolean()),
        }),
        { description: 'Only together with the type of this name.' },
      ),
    }),
    {
      description:
        'JSON is for models that have `json` among their capabilities. Absent: plain text.',
    },
  ),
}

/** In an earlier answer, sent back as it came. */
export const askedCalls = array(
  closed({
    id: callId,
    type: functionType,
    function: closed({ name, arguments: string() }),
  }),
  { maxItems: callsMax },
)

export const askedCallId = callId

/** In an answer. */
export const toolCalls = array(
  object({
    id: string(),
    type: literal('function'),
    function: object({ name: string(), arguments: string() }),
  }),
)

/** A piece of one. */
export const toolCallDeltas = array(
  object({
    index: integer(),
    id: optional(string()),
    type: optional(literal('function')),
    function: object({ name: optional(string()), arguments: string() }),
  }),
)
