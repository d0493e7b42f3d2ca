import type { ChatWork } from '../../../src/wire/job.ts'
import { encodeWork } from '../../../src/wire/job-body.ts'
import { sampling } from './body.ts'
import { type Bad, bad, type Good, good } from './cases.ts'

// Bodies of chats with functions, calls, formats and images.

const hi: ChatWork['messages'] = [{ role: 'user', content: 'Hi' }]
const parameters = '{"type":"object","properties":{"b":{"type":"string"},"a":{"const":"é😀"}}}'
const chat = (more: Partial<ChatWork>): ChatWork => ({
  ...{ kind: 'chat', messages: hi, sampling },
  ...more,
})

const works: [name: string, work: ChatWork][] = [
  ['a function', chat({ functions: [{ name: 'f' }] })],
  [
    'functions, every field',
    chat({
      functions: [
        { name: 'get_weather-2', description: 'Of a place.\n', parameters, strict: true },
        { name: 'x'.repeat(64), description: '', parameters: '{}', strict: false },
      ],
      calling: { mode: 'required', name: 'get_weather-2' },
      oneCall: true,
    }),
  ],
  ['no calls', chat({ functions: [{ name: 'f' }], calling: { mode: 'none' } })],
  ['any call', chat({ functions: [{ name: 'f' }], calling: { mode: 'required' } })],
  [
    'calls and what came of them',
    chat({
      messages: [
        { role: 'user', content: 'Paris or Rome?' },
        {
          role: 'assistant',
          content: '',
          calls: [
            { id: 'call_1', name: 'get_weather', arguments: '{"city":"Paris"}' },
            { id: 'é'.repeat(256), name: 'get_weather', arguments: '{"city":' },
          ],
        },
        { role: 'result', content: '', callId: 'call_1' },
        { role: 'result', content: '{"sun":true}', callId: 'é'.repeat(256) },
        { role: 'assistant', content: 'Rome.' },
      ],
    }),
  ],
  ['JSON', chat({ format: { type: 'json' } })],
  ['JSON by a schema', chat({ format: { type: 'schema', name: 'n', schema: parameters } })],
  [
    'JSON by a schema, every field',
    chat({
      format: {
        type: 'schema',
        name: 'n',
        description: 'A.',
        schema: '{ "a": 1e3 }',
        strict: true,
      },
    }),
  ],
  [
    'images',
    chat({
      messages: [
        {
          role: 'user',
          content: '',
          parts: [
            { text: 'Which one?' },
            { image: { type: 'image/png', data: 'iVBORw0KGgo=' } },
            { text: '' },
            { image: { type: 'image/jpeg', data: '/9j/', detail: 'low' } },
            { image: { type: 'image/webp', data: 'UklGRgAAAABXRUJQ', detail: 'high' } },
          ],
        },
        { role: 'user', content: '', parts: [{ image: { type: 'image/gif', data: 'R0lGODlh' } }] },
        { role: 'user', content: '', parts: [{ text: 'No image.' }] },
      ],
    }),
  ],
  ['a schema of 64 levels', chat({ functions: [{ name: 'f', parameters: nested(64) }] })],
]

/** An object in which so many brackets are open. */
function nested(levels: number): string {
  return `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
}

export const callsGood: Good[] = works.map(([name, work]) =>
  good('body/chat', name, encodeWork(work)),
)

const drawn =
  '{"choices":1,"frequency_penalty":0,"logit_bias":[],"presence_penalty":0,"seed":0,"stop":[],"temperature":0,"top_p":1}'

/** `more`: members that sort before the messages. */
const body = (messages: string, more = '') =>
  `{${more === '' ? '' : `${more},`}"messages":${messages},"sampling":${drawn}}`
const said = '[{"content":"","role":"user"}]'
const offered = '"functions":[{"name":"f"}]'
const message = (fields: string) => body(`[{${fields}}]`)
const called = (call: string) => message(`"calls":[${call}],"content":"","role":"assistant"`)
const call = '{"arguments":"","id":"a","name":"f"}'
const offer = (fields: string) => body(said, `"functions":[{${fields}}]`)
const many = (count: number, text: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => text(at)).join()
const schema = (text: string) => offer(`"name":"f","parameters":${JSON.stringify(text)}`)
const parts = (all: string) => message(`"content":"","parts":${all},"role":"user"`)
const image = (fields: string) => parts(`[{"image":{${fields}}}]`)
const png = '"data":"iVBORw0KGgo=","type":"image/png"'
const unknown = 'unsupported_field'
const newer = 'unsupported_value'

const cases: [name: string, body: string, error?: string][] = [
  ['an empty list of functions', body(said, '"functions":[]')],
  ['129 functions', body(said, `"functions":[${many(129, (at) => `{"name":"f${at}"}`)}]`)],
  ['functions of one name', body(said, '"functions":[{"name":"f"},{"name":"f"}]')],
  ['functions as an object', body(said, '"functions":{}')],
  ['functions of null', body(said, '"functions":null')],
  ['a function without a name', offer('"description":""')],
  ['a function with an empty name', offer('"name":""')],
  ['a function with a name of 65', offer(`"name":"${'f'.repeat(65)}"`)],
  ['a function with a point in its name', offer('"name":"a.b"')],
  ['a function with a line break in its name', offer('"name":"f\\n"')],
  ['a function with a description of null', offer('"description":null,"name":"f"')],
  ['a function that is strict in a word', offer('"name":"f","strict":"yes"')],
  ['a function with a field of a newer version', offer('"name":"f","returns":""'), unknown],
  ['parameters that are no text', offer('"name":"f","parameters":{}')],
  ['parameters that are no JSON', schema('{')],
  ['parameters that are a list', schema('[]')],
  ['parameters with a member twice', schema('{"a":1,"a":1}')],
  ['parameters with half a surrogate pair', schema('{"a":"\\ud800"}')],
  ['parameters of 65 levels', schema(nested(65))],
  ['parameters of 32,769 values', schema(`{"a":[${many(32_768, () => '0')}]}`)],
  ['calling without functions', body(said, '"calling":{"mode":"none"}')],
  ['calling without a mode', body(said, `"calling":{},${offered}`)],
  ['calling of a newer version', body(said, `"calling":{"mode":"maybe"},${offered}`), newer],
  [
    'calling by a newer field',
    body(said, `"calling":{"mode":"none","names":[]},${offered}`),
    unknown,
  ],
  ['no calling of a function', body(said, `"calling":{"mode":"none","name":"f"},${offered}`)],
  ['calling of another', body(said, `"calling":{"mode":"required","name":"g"},${offered}`)],
  ['calling in a word', body(said, `"calling":"none",${offered}`)],
  ['one call of none', body(said).replace('"sampling"', '"one_call":true,"sampling"')],
  ['not one call', body(said, offered).replace('"sampling"', '"one_call":false,"sampling"')],
  ['a result without its call', message('"content":"","role":"result"')],
  ['a call without a result', message('"call":"a","content":"","role":"user"')],
  ['a result of an empty id', message('"call":"","content":"","role":"result"')],
  ['a result of a long id', message(`"call":"${'a'.repeat(257)}","content":"","role":"result"`)],
  ['a call of a user', message(`"calls":[${call}],"content":"","role":"user"`)],
  ['a call of a newer role', message(`"calls":[${call}],"content":"","role":"tool"`), newer],
  ['no calls in a list', called('')],
  ['129 calls', called(many(129, () => call))],
  ['a call without an id', called('{"arguments":"","name":"f"}')],
  ['a call without a name', called('{"arguments":"","id":"a"}')],
  ['a call without arguments', called('{"id":"a","name":"f"}')],
  ['a call with arguments as an object', called('{"arguments":{},"id":"a","name":"f"}')],
  ['a call with a newer field', called('{"A":0,"arguments":"","id":"a","name":"f"}'), unknown],
  ['a newer field in a call, and no content', message('"calls":[{"A":0}]'), unknown],
  ['an empty list of parts', parts('[]')],
  ['4,097 parts', parts(`[${many(4097, () => '{"text":""}')}]`)],
  ['parts as text', parts('"Hi"')],
  ['parts beside a content', parts('[{"text":""}]').replace('"content":""', '"content":"Hi"')],
  ['parts of the assistant', parts('[{"text":""}]').replace('"role":"user"', '"role":"assistant"')],
  [
    'parts of a newer role',
    parts('[{"text":""}]').replace('"role":"user"', '"role":"tool"'),
    newer,
  ],
  ['an empty part', parts('[{}]')],
  ['a part that is two', parts(`[{"image":{${png}},"text":""}]`)],
  ['a part of a newer version', parts('[{"sound":{}}]'), unknown],
  ['a text of null', parts('[{"text":null}]')],
  ['an image as text', parts('[{"image":"AAAA"}]')],
  ['an image without a type', image('"data":"AAAA"')],
  ['an image without data', image('"type":"image/png"')],
  ['an image of no bytes', image('"data":"","type":"image/png"')],
  ['an image of a newer type', image('"data":"AAAA","type":"image/avif"'), newer],
  ['a newer detail', image(png.replace(',', ',"detail":"auto",')), newer],
  ['a newer field of an image', image(`${png},"url":""`), unknown],
  ['a JPEG that is a PNG', image(png.replace('png', 'jpeg'))],
  ['a GIF that is none', image('"data":"R0lGODhh","type":"image/gif"')],
  ['a WebP that is sound', image('"data":"UklGRgAAAABXQVZF","type":"image/webp"')],
  ['no base64', image('"data":"iVBORw0KGg-_","type":"image/png"')],
  ['base64 without its padding', image('"data":"iVBORw0KGgo","type":"image/png"')],
  ['base64 with bits too many', image('"data":"iVBORw0KGgp=","type":"image/png"')],
  ['base64 with a line break', image('"data":"iVBORw0KGgo=\\n","type":"image/png"')],
  ['33 images', parts(`[${many(33, () => `{"image":{${png}}}`)}]`)],
  ['a format without a type', body(said, '"format":{}')],
  ['a format of a newer version', body(said, '"format":{"type":"grammar"}'), newer],
  ['a newer field in a format', body(said, '"format":{"rule":"","type":"grammar"}'), unknown],
  ['JSON with a schema', body(said, '"format":{"schema":"{}","type":"json"}')],
  ['a schema without a name', body(said, '"format":{"schema":"{}","type":"schema"}')],
  ['a schema without one', body(said, '"format":{"name":"n","type":"schema"}')],
  ['a schema that is a number', body(said, '"format":{"name":"n","schema":"1","type":"schema"}')],
  ['a newer format, and no functions', body(said, '"format":{"type":"x"},"functions":[]')],
]

export const callsBad: Bad[] = cases.map(([name, text, error]) =>
  bad('body/chat', name, new TextEncoder().encode(text), error),
)
