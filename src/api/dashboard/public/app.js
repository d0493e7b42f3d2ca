// Everything shown is put in as text: names come from models and peers, and may hold markup.

const POLL_MS = 2000
/** The time a poll may take before the peer counts as unreachable. */
const POLL_LIMIT_MS = 5000

const byId = (id) => document.getElementById(id)

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

function make(tag, className, text = '') {
  const element = document.createElement(tag)
  element.className = className
  element.textContent = text
  return element
}

function scaled(value, units, step) {
  let unit = 0
  let rest = value
  while (rest >= step && unit < units.length - 1) {
    rest /= step
    unit++
  }
  return `${rest >= 10 || unit === 0 ? Math.round(rest) : rest.toFixed(1)}${units[unit]}`
}

const bytes = (value) => scaled(value, [' B', ' KiB', ' MiB', ' GiB', ' TiB'], 1024)
const count = (value) => scaled(value, ['', 'K', 'M', 'B', 'T'], 1000)

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([amount]) => amount > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ')
}

/** One card for each model, kept from poll to poll, so that a selection or a focus survives. */
const cards = new Map()

function modelCard(name) {
  const item = make('li', 'card model')
  const head = make('div', 'head')
  const state = make('span', 'pill')
  const demo = make('span', 'tag', 'demo model')
  head.append(make('h3', '', name), demo, state)
  const facts = make('p', 'facts quiet')
  const progress = make('progress', '')
  progress.max = 1
  progress.setAttribute('aria-label', `${name} is loading`)
  const load = make('p', 'load')
  const error = make('p', 'error')
  item.append(head, facts, progress, load, error)
  return { item, state, demo, facts, progress, load, error }
}

function factsOf(model) {
  const facts = []
  if (model.kind !== null) facts.push(model.kind)
  if (model.architecture !== null) facts.push(model.architecture)
  if (model.parameters !== null) facts.push(`${count(model.parameters)} parameters`)
  if (model.quant !== null) facts.push(model.quant)
  if (model.size_bytes !== null) facts.push(bytes(model.size_bytes))
  if (model.context_length !== null) {
    facts.push(`${model.context_length.toLocaleString('en')} tokens of context`)
  }
  return facts.join(' · ')
}

function loadOf(model) {
  const load = []
  if (model.state === 'ready') {
    load.push(`${model.running} of ${model.slots ?? '?'} slots busy`)
    if (model.queued > 0) load.push(`${model.queued} waiting`)
    if (model.tokens_per_second !== null) {
      load.push(`${scaled(model.tokens_per_second, [''], 1000)} tokens/s`)
    }
  }
  return load.join(' · ')
}

function showModel(model) {
  let card = cards.get(model.name)
  if (card === undefined) {
    card = modelCard(model.name)
    cards.set(model.name, card)
    byId('models').append(card.item)
  }
  card.state.dataset.state = model.state
  const part = model.progress === null ? '' : ` ${Math.floor(model.progress * 100)} %`
  setText(card.state, model.state === 'loading' ? `loading${part}` : model.state)
  card.demo.hidden = !model.demo
  setText(card.facts, factsOf(model))
  setText(card.load, loadOf(model))
  card.progress.hidden = model.state !== 'loading'
  if (model.progress === null) card.progress.removeAttribute('value')
  else card.progress.value = model.progress
  const reason = model.error === null ? '' : (model.error.message ?? model.error.code)
  setText(card.error, reason)
}

function showModels(models) {
  for (const model of models) showModel(model)
  const names = new Set(models.map(({ name }) => name))
  for (const [name, { item }] of cards) {
    if (names.has(name)) continue
    item.remove()
    cards.delete(name)
  }
  byId('no-models').hidden = models.length > 0
}

function showAddrs(addrs) {
  const list = byId('addrs')
  const shown = [...list.children].map((item) => item.textContent)
  if (shown.join('\n') !== addrs.join('\n')) {
    list.replaceChildren(...addrs.map((addr) => make('li', '', addr)))
  }
  byId('no-addrs').hidden = addrs.length > 0
}

/** A shell takes what stands between single quotes as it is, but for the quote itself. */
const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

function curlFor(models) {
  const chats = models.filter(({ kind }) => kind === 'chat' || kind === null)
  const model = (chats.find(({ state }) => state === 'ready') ?? chats[0])?.name ?? 'MODEL'
  const body = { model, stream: true, messages: [{ role: 'user', content: 'Hello!' }] }
  return [
    `curl -N ${location.origin}/v1/chat/completions`,
    '-H "Authorization: Bearer $PEER_KEY"',
    "-H 'Content-Type: application/json'",
    `-d ${shellQuoted(JSON.stringify(body))}`,
  ].join(' \\\n  ')
}

function show(status) {
  const state = byId('state')
  state.dataset.state = status.ready ? 'ready' : 'loading'
  setText(state, status.ready ? 'ready' : 'starting')
  setText(byId('uptime'), duration(status.uptime_s))
  setText(byId('memory'), bytes(status.memory_bytes))
  setText(byId('peers'), String(status.network.directory.peers))
  setText(byId('connections'), String(status.network.connections))
  setText(byId('version'), status.version)
  setText(byId('peer-id'), status.network.peer_id)
  setText(byId('curl'), curlFor(status.models))
  showAddrs(status.network.addrs)
  showModels(status.models)
}

function showUnreachable() {
  const state = byId('state')
  state.dataset.state = 'failed'
  setText(state, 'not reachable')
}

async function poll() {
  try {
    const answer = await fetch('/readyz', { signal: AbortSignal.timeout(POLL_LIMIT_MS) })
    show(await answer.json())
  } catch {
    showUnreachable()
  }
}

async function copy(button) {
  const label = button.textContent
  try {
    await navigator.clipboard.writeText(byId(button.dataset.copies).textContent)
    button.textContent = 'Copied'
  } catch {
    button.textContent = 'Select and copy by hand'
  }
  setTimeout(() => {
    button.textContent = label
  }, 1500)
}

for (const button of document.querySelectorAll('[data-copies]')) {
  button.addEventListener('click', () => copy(button))
}
setText(byId('base'), `${location.origin}/v1`)

async function follow() {
  if (!document.hidden) await poll()
  setTimeout(follow, POLL_MS)
}
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) poll()
})
follow()
