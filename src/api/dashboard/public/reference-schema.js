// What a JSON Schema says, in words.

/** No schema of ours is so deep; one that goes round has no end. */
export const DEPTH_MAX = 12

/** What a `$ref` stands for, in the words of who refers to it. */
export function resolved({ $ref, ...own }, api) {
  if ($ref === undefined) return own
  const steps = $ref.replace(/^#\//, '').split('/')
  return { ...steps.reduce((at, step) => at?.[step], api), ...own }
}

const isNull = ({ type }) => type === 'null'

/** Of a choice between one thing and null: that thing. */
export function simple(schema) {
  const { anyOf, ...own } = schema
  const others = (anyOf ?? []).filter((branch) => !isNull(branch))
  if (others.length !== 1) return schema
  return { ...simple(others[0]), ...own, orNull: others.length < anyOf.length }
}

export function typeOf(schema, depth = 0) {
  const { anyOf, type, items, orNull, properties, additionalProperties, ...own } = simple(schema)
  const or = orNull ? ' or null' : ''
  if (depth > DEPTH_MAX) return '…'
  if (anyOf !== undefined) {
    return [...new Set(anyOf.map((branch) => typeOf(branch, depth + 1)))].join(' or ')
  }
  if (own.const !== undefined) return JSON.stringify(own.const) + or
  if (own.enum !== undefined) return own.enum.map((each) => JSON.stringify(each)).join(' | ') + or
  if (type === 'array') return `array of ${typeOf(items ?? {}, depth + 1)}${or}`
  if (type === 'object' && properties === undefined && additionalProperties?.type !== undefined) {
    return `any names, each ${typeOf(additionalProperties, depth + 1)}${or}`
  }
  return `${type ?? 'anything'}${or}`
}

function range(least, most, what = '') {
  const max = most === Number.MAX_SAFE_INTEGER ? undefined : most
  const number = (value) => (Math.abs(value) > 1e15 ? String(value) : value.toLocaleString('en'))
  if (least === undefined && max === undefined) return ''
  if (least === undefined) return `at most ${number(max)}${what}`
  if (max === undefined) return `at least ${number(least)}${what}`
  return `${number(least)} to ${number(max)}${what}`
}

export function limitsOf(schema) {
  const it = simple(schema)
  const later = it['x-unavailable']
  return [
    range(it.minLength, it.maxLength, ' characters'),
    range(it.minimum, it.maximum),
    range(it.minItems, it.maxItems, ' items'),
    range(undefined, it.maxProperties, ' names'),
    it.propertyNames === undefined ? '' : `names like ${it.propertyNames.pattern}`,
    it.format ?? '',
    it.contentMediaType === undefined ? '' : 'a file',
    it.default === undefined ? '' : `default ${JSON.stringify(it.default)}`,
    later === true ? `${isNull(it) ? 'not' : 'nothing else'} in this version` : '',
    Array.isArray(later) ? `not in this version: ${later.join(', ')}` : '',
  ]
    .filter((limit) => limit !== '')
    .join(' · ')
}

/** What one form of several is recognised by. */
export function namesIn(branch) {
  const { items, required = [], properties = {} } = simple(branch)
  if (items !== undefined) return namesIn(items)
  const names = required.length > 0 ? required : Object.keys(properties)
  return names.length > 5 ? `${names.slice(0, 5).join(', ')}, …` : names.join(', ')
}

/** The least that such a request can hold. */
export function sampleOf(schema, depth = 0) {
  const { examples, anyOf, type, items, properties = {}, required = [], ...own } = simple(schema)
  if (depth > DEPTH_MAX) return null
  if (examples !== undefined) return examples[0]
  if (own.const !== undefined) return own.const
  if (own.enum !== undefined) return own.enum[0]
  if (anyOf !== undefined) return sampleOf(anyOf[0], depth + 1)
  if (type === 'object') {
    return Object.fromEntries(required.map((name) => [name, sampleOf(properties[name], depth + 1)]))
  }
  if (type === 'array') return own.minItems > 0 ? [sampleOf(items ?? {}, depth + 1)] : []
  if (type === 'integer' || type === 'number') return Math.max(1, own.minimum ?? 1)
  if (type === 'boolean') return true
  return type === 'string' ? 'TEXT' : null
}
