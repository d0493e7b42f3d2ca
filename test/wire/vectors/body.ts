import type { Sampling, Work } from '../../../src/wire/job.ts'
import { encodeWork } from '../../../src/wire/job-body.ts'
import { type Bad, bad, type Good, good } from './cases.ts'
import { join } from './raw.ts'

export const sampling: Sampling = {
  temperature: 0,
  topP: 1,
  seed: 0,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

const every: Sampling = {
  temperature: 0.7,
  topP: 0.95,
  seed: Number.MAX_SAFE_INTEGER,
  choices: 128,
  maxTokens: 2 ** 32 - 1,
  stop: ['\n\n', '</s>', 'é'.repeat(128)],
  presencePenalty: -2,
  frequencyPenalty: 1e-7,
  logitBias: [
    [0, -100],
    [9_999_999, 0.1],
  ],
  logprobs: 20,
}

const text = 'tab\t, null \0, quote ", backslash \\, slash /, é, 漢, 😀, del \x7f, \u2028, \ufeff'
const works: [name: string, work: Work][] = [
  ['a word', { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }], sampling }],
  [
    'every field',
    {
      kind: 'chat',
      messages: [
        { role: 'system', content: '' },
        { role: 'user', content: text },
        { role: 'assistant', content: '{"not":"parsed"}' },
        { role: 'user', content: 'Go on' },
      ],
      sampling: every,
    },
  ],
  ['a prompt', { kind: 'completion', prompts: [''], sampling }],
  ['prompts', { kind: 'completion', prompts: ['Once', text], sampling: { ...every, choices: 64 } }],
  ['a text', { kind: 'embedding', inputs: ['a'] }],
  ['texts', { kind: 'embedding', inputs: [text, 'b'], dimensions: 16_000 }],
]

/** What is drafted for: which kind that is, its first key says. */
const drafts: [name: string, work: Work][] = [
  ['a word', { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }], sampling }],
  ['a prompt', { kind: 'completion', prompts: ['Once'], sampling }],
]

export const bodyGood: Good[] = [
  ...works.map(([name, work]) => good(`body/${work.kind}`, name, encodeWork(work))),
  ...drafts.map(([name, work]) => good('body/draft', name, encodeWork(work))),
]

const asked = '{"choices":1,"frequency_penalty":0,"logit_bias":[],"presence_penalty":0,"seed":0'
const drawn = `${asked},"stop":[],"temperature":0,"top_p":1}`
const chat = (messages: string, settings = drawn) =>
  `{"messages":${messages},"sampling":${settings}}`
const hi = '[{"content":"Hi","role":"user"}]'
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const strange = '{"content":"","role":"tool"}'
const mute = '{"role":"user"}'
const newer = drawn.replace('{', '{"A":0,')

/** With a field of a newer version that makes up for the values that are missing. */
function ofValues(count: number): string {
  const wrap = (filling: string) => `{"a":[${filling}0],${chat(hi).slice(1)}`
  const missing = count - (wrap('').match(/[[{,]/g)?.length ?? 0)
  return wrap(`${'[],'.repeat(missing / 2)}${'0,'.repeat(missing % 2)}`)
}

const chats: [name: string, body: string | Uint8Array, error?: string][] = [
  ['nothing', ''],
  ['no JSON', '{'],
  ['not an object', '[]'],
  ['null', 'null'],
  ['a space', chat(hi).replace(':', ': ')],
  ['a line break at the end', `${chat(hi)}\n`],
  ['a byte order mark', `\ufeff${chat(hi)}`],
  ['unsorted keys', chat('[{"role":"user","content":"Hi"}]')],
  ['a key twice', chat('[{"content":"a","content":"a","role":"user"}]')],
  ['a number with a point too many', chat(hi, drawn.replace('"seed":0', '"seed":0.0'))],
  ['minus zero', chat(hi, drawn.replace('"seed":0', '"seed":-0'))],
  ['a number above all', chat(hi, drawn.replace('"seed":0', '"seed":1e999'))],
  ['an escape that is not needed', chat(hi.replace('Hi', '\\u0048i'))],
  ['half a surrogate pair', chat(hi.replace('Hi', '\\ud800'))],
  ['a control character as it is', chat(hi.replace('Hi', '\t'))],
  [
    'bytes that are not UTF-8',
    join(chat(hi).slice(0, 25), Uint8Array.of(0xff), chat(hi).slice(25)),
  ],
  ['17 deep', `{"a":${nested(16)}}`],
  ['100,000 deep', nested(100_000)],
  ['100,000 open brackets', '['.repeat(100_000)],
  ['16 deep', `{"a":${nested(15)}}`, 'unsupported_field'],
  ['32,768 values', ofValues(32_768), 'unsupported_field'],
  ['32,769 values', ofValues(32_769)],
  ['no messages', `{"sampling":${drawn}}`],
  ['no sampling', `{"messages":${hi}}`],
  ['an empty list of messages', chat('[]')],
  ['4,097 messages', chat(`[${Array.from({ length: 4097 }, () => hi.slice(1, -1)).join()}]`)],
  ['a message without content', chat('[{"role":"user"}]')],
  ['a message of a number', chat('[{"content":1,"role":"user"}]')],
  ['a role of a newer version', chat('[{"content":"","role":"tool"}]'), 'unsupported_value'],
  ['a field of a newer version', chat(hi).replace('}}', '},"tools":[]}'), 'unsupported_field'],
  ['__proto__', `{"__proto__":{},${chat(hi).slice(1)}`, 'unsupported_field'],
  ['constructor', `{"constructor":{},${chat(hi).slice(1)}`, 'unsupported_field'],
  [
    'a field of a newer version in the sampling',
    chat(hi, drawn.replace('{', '{"A":0,')),
    'unsupported_field',
  ],
  ['a new field, and a space', chat(hi, newer).replace(':', ': ')],
  ['a new field in the sampling, and no content', chat(`[${mute}]`, newer), 'unsupported_field'],
  [
    'a new field in a message, and no sampling',
    `{"messages":[${mute.replace('{', '{"name":0,')}]}`,
    'unsupported_field',
  ],
  [
    'a new field in message 4,097',
    chat(`[${`${mute},`.repeat(4096)}{"name":0}]`),
    'unsupported_field',
  ],
  ['a new field, and a role of a newer version', chat(`[${strange}]`, newer), 'unsupported_field'],
  ['fields where a list belongs', chat('{"name":0}')],
  ['a list where fields belong', chat(hi, '[{"A":0}]')],
  ['a role of a newer version, and no content', chat(`[${strange},${mute}]`)],
  [
    'a role of a newer version, and no choice',
    chat(`[${strange}]`, drawn.replace('"choices":1', '"choices":0')),
  ],
  [
    'a role of a newer version, and a long stop',
    chat(`[${strange}]`, drawn.replace('[],"temp', `["${'é'.repeat(129)}"],"temp`)),
  ],
  ['an empty role', chat('[{"content":"","role":""}]'), 'unsupported_value'],
  ['a role of a number', chat('[{"content":"","role":1}]')],
]

const samplings: [name: string, from: string, to: string][] = [
  ['no temperature', ',"temperature":0', ''],
  ['a temperature above 2', '"temperature":0', '"temperature":2.1'],
  ['a temperature below 0', '"temperature":0', '"temperature":-1'],
  ['a temperature as text', '"temperature":0', '"temperature":"0"'],
  ['a temperature of null', '"temperature":0', '"temperature":null'],
  ['top_p above 1', '"top_p":1', '"top_p":1.5'],
  ['a seed with a part', '"seed":0', '"seed":0.5'],
  ['a seed of 2^53', '"seed":0', '"seed":9007199254740992'],
  ['no choice', '"choices":1', '"choices":0'],
  ['129 choices', '"choices":1', '"choices":129'],
  ['no tokens', '"presence', '"max_tokens":0,"presence'],
  ['tokens above 32 bits', '"presence', '"max_tokens":4294967296,"presence'],
  ['21 alternatives', '"presence', '"logprobs":21,"presence'],
  ['an empty stop', '"stop":[]', '"stop":[""]'],
  ['a stop of 258 bytes', '"stop":[]', `"stop":["${'é'.repeat(129)}"]`],
  ['65 stops', '"stop":[]', `"stop":[${Array.from({ length: 65 }, () => '"a"').join()}]`],
  ['a penalty above 2', '"presence_penalty":0', '"presence_penalty":2.5'],
  ['a penalty below -2', '"frequency_penalty":0', '"frequency_penalty":-3'],
  ['a bias of three', '"logit_bias":[]', '"logit_bias":[[1,2,3]]'],
  ['a bias above 100', '"logit_bias":[]', '"logit_bias":[[1,101]]'],
  ['a bias of half a token', '"logit_bias":[]', '"logit_bias":[[1.5,1]]'],
  ['a bias of token 10,000,000', '"logit_bias":[]', '"logit_bias":[[10000000,1]]'],
  ['a bias as an object', '"logit_bias":[]', '"logit_bias":{}'],
]

const many = (count: number, text: string) => Array.from({ length: count }, () => text).join()
const others: [kind: string, name: string, body: string, error?: string][] = [
  ['completion', 'no prompts', `{"prompts":[],"sampling":${drawn}}`],
  ['completion', '129 prompts', `{"prompts":[${many(129, '"a"')}],"sampling":${drawn}}`],
  [
    'completion',
    'prompts times choices above 128',
    `{"prompts":["a","b"],"sampling":${drawn.replace('"choices":1', '"choices":65')}}`,
  ],
  ['completion', 'a prompt of tokens', `{"prompts":[[1,2]],"sampling":${drawn}}`],
  ['embedding', 'no inputs', '{"inputs":[]}'],
  ['embedding', 'an empty input', '{"inputs":[""]}'],
  ['embedding', '2,049 inputs', `{"inputs":[${many(2049, '"a"')}]}`],
  ['embedding', 'no dimensions', '{"dimensions":0,"inputs":["a"]}'],
  ['embedding', '16,001 dimensions', '{"dimensions":16001,"inputs":["a"]}'],
  ['embedding', 'messages', chat(hi), 'unsupported_field'],
  ['embedding', 'a new field, and no inputs', '{"A":0}', 'unsupported_field'],
  [
    'completion',
    'a new field, and no prompts',
    `{"prompts":[],"sampling":${newer}}`,
    'unsupported_field',
  ],
  ['image', 'no JSON of a kind that has no bodies here', '{', 'unsupported_kind'],
  ['image', 'of a kind that has no bodies here', '{"prompt":"a cat"}', 'unsupported_kind'],
]

export const bodyBad: Bad[] = [
  ...chats.map(([name, body, error]) => bad('body/chat', name, join(body), error)),
  ...samplings.map(([name, from, to]) => {
    const body = chat(hi, drawn.replace(from, to))
    return bad('body/chat', name, join(body))
  }),
  ...others.map(([kind, name, body, error]) => bad(`body/${kind}`, name, join(body), error)),
  bad('body/draft', 'a text to embed', join('{"inputs":["a"]}'), 'unsupported_field'),
  bad('body/draft', 'a prompt without a list', join(`{"prompts":"a","sampling":${drawn}}`)),
]
