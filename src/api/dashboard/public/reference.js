// The reference, from `openapi.json`. Everything shown is put in as text: none of it is markup.

import {
  DEPTH_MAX,
  limitsOf,
  namesIn,
  resolved,
  sampleOf,
  simple,
  typeOf,
} from './reference-schema.js'

/** Trees are open down to here. */
const OPEN_DEPTH = 1

const byId = (id) => document.getElementById(id)

function make(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

/** What stands between backticks is code. */
function worded(text) {
  const parts = text.split('`')
  return parts.map((part, at) => (at % 2 === 1 && at < parts.length - 1 ? code(part) : part))
}

const prose = (text, attributes = {}) => make('p', attributes, ...worded(text))

const code = (text, attributes = {}) => make('code', attributes, text)
const span = (text, kind) => (text === '' ? undefined : make('span', { class: kind }, text))

// Schemas

/** The fields below a schema; undefined where it has none. */
function fieldsOf(schema, place) {
  const { anyOf, items, properties, required = [], additionalProperties } = simple(schema)
  if (place.depth > DEPTH_MAX) return undefined
  if (anyOf !== undefined) return branchesOf(anyOf, place)
  if (items !== undefined) return fieldsOf(items, below(place))
  if (properties !== undefined) {
    const rows = Object.entries(properties).map(([name, each]) =>
      rowOf(name, each, place, required.includes(name)),
    )
    return rows.length === 0 ? undefined : make('ul', { class: 'tree' }, ...rows)
  }
  if (typeof additionalProperties === 'object') return fieldsOf(additionalProperties, below(place))
  return undefined
}

const below = ({ depth, isAnswer }) => ({ depth: depth + 1, isAnswer })

function branchesOf(branches, place) {
  const { depth } = place
  const parts = branches
    .map((branch) => ({ branch, fields: fieldsOf(branch, below(place)) }))
    .filter(({ fields }) => fields !== undefined)
  if (parts.length === 0) return undefined
  if (parts.length === 1 && depth > 0) return parts[0].fields
  const shown = parts.map(({ branch, fields }) =>
    make('li', {}, folded(`${typeOf(branch)} with ${namesIn(branch)}`, fields, depth)),
  )
  return make('ul', { class: 'tree' }, ...shown)
}

function folded(title, content, depth) {
  return make(
    'details',
    depth < OPEN_DEPTH ? { open: '' } : {},
    make('summary', {}, title),
    content,
  )
}

/** What has to be sent is told of requests, what may be missing of answers. */
function rowOf(name, schema, place, isRequired) {
  const fields = fieldsOf(schema, below(place))
  const { description } = simple(schema)
  const parts = [
    code(name, { class: 'name' }),
    span(typeOf(schema), 'type'),
    !place.isAnswer && isRequired ? span('required', 'needed') : undefined,
    place.isAnswer && !isRequired ? span('may be missing', 'limits') : undefined,
    span(limitsOf(schema), 'limits'),
  ]
  const head = make('div', { class: 'head' }, ...parts)
  const about = description === undefined ? undefined : prose(description)
  const more = fields === undefined ? undefined : folded('fields', fields, place.depth)
  return make('li', {}, head, about, more)
}

// Examples

/** A shell takes what stands between single quotes as it is, but for the quote itself. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

function curlOf({ method, path, operation, parameters }) {
  const { requestBody, responses, security } = operation
  const content = requestBody?.content ?? {}
  const json = content['application/json']
  const form = content['multipart/form-data']
  const query = parameters
    .filter((each) => each.in === 'query' && each.required)
    .map(({ name }) => `${name}=${name.toUpperCase()}`)
  const to = path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase())
  const url = `${location.origin}${to}${query.length > 0 ? `?${query.join('&')}` : ''}`
  const streams = responses['200']?.content?.['text/event-stream'] !== undefined
  const plain = method === 'get' || (method === 'post' && requestBody !== undefined)
  return [
    `curl${streams ? ' -N' : ''}${plain ? '' : ` -X ${method.toUpperCase()}`} ${quoted(url)}`,
    ...(security.length > 0 ? ['-H "Authorization: Bearer $PEER_KEY"'] : []),
    ...(json ? ["-H 'Content-Type: application/json'"] : []),
    ...(json ? [`-d ${quoted(JSON.stringify(sampleOf(json.schema)))}`] : []),
    ...(form ? formFlags(form.schema) : []),
  ].join(' \\\n  ')
}

const formFlags = ({ properties, required }) =>
  required.map((name) => {
    const isFile = properties[name].contentMediaType !== undefined
    return `-F ${quoted(`${name}=${isFile ? '@FILE' : sampleOf(properties[name])}`)}`
  })

// Operations

function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ path, method, operation, id: operation.operationId },
      parameters: (operation.parameters ?? []).map((each) => resolved(each, api)),
    })),
  )
}

function needOf({ security, 'x-scope': scope }) {
  if (security.length === 0) return prose('Public: no key is needed.')
  return prose(scope ? `Needs a key with the scope \`${scope}\`.` : 'Needs a key.')
}

function copied(text) {
  const button = make('button', { type: 'button' }, 'Copy')
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text)
      button.textContent = 'Copied'
    } catch {
      button.textContent = 'Select and copy by hand'
    }
    setTimeout(() => {
      button.textContent = 'Copy'
    }, 1500)
  })
  return make('div', { class: 'card code' }, make('pre', { tabindex: '0' }, text), button)
}

const titled = (title, ...content) => [make('h3', {}, title), ...content]

function parametersOf(parameters) {
  const rows = parameters.map(({ name, in: place, required, schema, description }) => {
    const row = rowOf(name, { ...schema, description }, { depth: 1 }, required)
    row.firstChild.append(span(`in the ${place}`, 'limits'))
    return row
  })
  return rows.length === 0 ? [] : titled('Parameters', make('ul', { class: 'tree' }, ...rows))
}

/** All forms that a body can have. */
function contentOf(content = {}, place = { depth: 0 }) {
  return Object.entries(content).flatMap(([type, { schema = {} }]) => {
    const limits = [typeOf(schema), limitsOf(schema)].filter((each) => each !== '').join(' · ')
    const head = make('div', { class: 'head' }, code(type), span(limits, 'type'))
    return [head, fieldsOf(schema, place)].filter((each) => each !== undefined)
  })
}

function bodyOf({ requestBody }) {
  if (requestBody === undefined) return []
  const title = requestBody.required ? 'Body' : 'Body, which may be left out'
  return titled(title, ...contentOf(requestBody.content))
}

function answersOf({ responses }, api) {
  const all = Object.entries(responses)
  const isError = ([status]) => status === 'default' || Number(status) >= 400
  const good = all
    .filter((each) => !isError(each))
    .flatMap(([status, response]) => {
      const { description, content, headers = {} } = resolved(response, api)
      const names = Object.keys(headers).map((name) => `\`${name}\``)
      return [
        ...titled(
          `Answer ${status}`,
          prose(description),
          ...contentOf(content, { depth: 0, isAnswer: true }),
        ),
        ...(names.length === 0 ? [] : [prose(`Headers: ${names.join(', ')}`, { class: 'quiet' })]),
      ]
    })
  const rows = all.filter(isError).map(([status, response]) => {
    const name = status === 'default' ? 'other' : status
    return make('li', {}, code(name, { class: 'name' }), prose(resolved(response, api).description))
  })
  return [...good, ...titled('Refusals', make('ul', { class: 'tree errors' }, ...rows))]
}

function detailsOf(each, api) {
  const { operation, parameters } = each
  const samples = operation['x-codeSamples'] ?? []
  return [
    ...(operation.description === undefined ? [] : [prose(operation.description)]),
    needOf(operation),
    ...titled('curl', copied(curlOf(each))),
    ...samples.flatMap(({ label, source }) => titled(label, copied(source))),
    ...parametersOf(parameters),
    ...bodyOf(operation),
    ...answersOf(operation, api),
  ]
}

/** Its details are made when somebody looks at them. */
function cardOf(each, api) {
  const { id, method, path, operation } = each
  const card = make(
    'details',
    { id, class: 'card operation' },
    make(
      'summary',
      {},
      make('span', { class: 'method', 'data-method': method }, method.toUpperCase()),
      code(path, { class: 'path' }),
      make('span', { class: 'about' }, ...worded(operation.summary ?? '')),
    ),
  )
  card.addEventListener('toggle', () => {
    if (!card.open) return
    if (card.children.length === 1)
      card.append(make('div', { class: 'body' }, ...detailsOf(each, api)))
    if (location.hash !== `#${id}`) history.replaceState(null, '', `#${id}`)
    mark()
  })
  return card
}

function groupOf({ name, description = '' }, operations, api) {
  const own = operations.filter(({ operation }) => (operation.tags ?? ['Other'])[0] === name)
  const items = own.map(({ id, method, path }) => {
    const kind = make('span', { class: 'method', 'data-method': method }, method.toUpperCase())
    const link = make('a', { href: `#${id}` }, kind, ` ${path}`)
    return make('li', { 'data-for': id }, link)
  })
  const title = `group-${name}`
  const section = make(
    'section',
    { 'aria-labelledby': title },
    make('h2', { id: title }, name),
    prose(description, { class: 'quiet' }),
    ...own.map((each) => cardOf(each, api)),
  )
  const links = make('div', {}, make('h2', {}, name), make('ul', {}, ...items))
  return { section, links }
}

// The filter, and the place in the page

let known = []

const wordsOf = ({ id, method, path, operation }) =>
  [method, path, id, operation.summary, operation.description, operation['x-scope']]
    .concat(operation.tags)
    .join(' ')
    .toLowerCase()

function narrow() {
  const wanted = byId('filter').value.toLowerCase().split(/\s+/)
  let count = 0
  for (const { each, words } of known) {
    const isShown = wanted.every((word) => words.includes(word))
    count += isShown ? 1 : 0
    byId(each.id).hidden = !isShown
    document.querySelector(`[data-for="${CSS.escape(each.id)}"]`).hidden = !isShown
  }
  for (const group of document.querySelectorAll('#groups > section, #contents > div')) {
    group.hidden =
      group.querySelector('.operation:not([hidden]), [data-for]:not([hidden])') === null
  }
  byId('found').textContent = `${count} of ${known.length} operations`
}

function mark() {
  for (const link of document.querySelectorAll('#contents a')) {
    if (link.hash === location.hash) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
  }
}

function goTo(card) {
  if (card.hidden) {
    byId('filter').value = ''
    narrow()
  }
  card.open = true
  card.scrollIntoView()
  card.querySelector('summary').focus({ preventScroll: true })
}

function follow() {
  const card = byId(decodeURIComponent(location.hash.slice(1)))
  if (card?.classList.contains('operation')) goTo(card)
  mark()
}

function onKey(event) {
  const { key, target } = event
  const isTyping = target === byId('filter')
  if (key === '/' && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    byId('filter').focus()
  } else if (key === 'Escape' && isTyping) {
    byId('filter').value = ''
    narrow()
  } else if (key === 'Enter' && isTyping) {
    const first = document.querySelector('.operation:not([hidden])')
    if (first !== null) goTo(first)
  }
}

function show(api) {
  const operations = operationsOf(api)
  const used = [...new Set(operations.map(({ operation }) => (operation.tags ?? ['Other'])[0]))]
  const tags = api.tags ?? []
  const rest = used.filter((name) => tags.every((tag) => tag.name !== name))
  const groups = [...tags, ...rest.map((name) => ({ name }))]
    .filter(({ name }) => used.includes(name))
    .map((tag) => groupOf(tag, operations, api))
  known = operations.map((each) => ({ each, words: wordsOf(each) }))
  byId('about').replaceChildren(
    ...(api.info.description ?? '').split('\n\n').map((text) => prose(text)),
    prose(`Base URL \`${location.origin}\`, version ${api.info.version}.`, { class: 'quiet' }),
  )
  byId('groups').replaceChildren(...groups.map(({ section }) => section))
  byId('contents').replaceChildren(...groups.map(({ links }) => links))
  narrow()
  follow()
}

byId('filter').addEventListener('input', narrow)
document.addEventListener('keydown', onKey)
addEventListener('hashchange', follow)
try {
  show(await (await fetch('/api/v1/openapi.json')).json())
} catch (error) {
  byId('trouble').textContent = `The description of this peer could not be read: ${error.message}`
}
