import { expect, it, onTestFinished } from 'vitest'
import { openApiRoutes } from '../../src/api/openapi.ts'
import { pageRoutes } from '../../src/api/page.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { closed, object, oneOf, string } from '../../src/api/schema.ts'
import { chromium } from '../sdk/browser.ts'
import { type Tab, withTab } from '../sdk/tab.ts'
import { startServer } from './harness.ts'
import { documentOf, operationsOf, startWholePeer } from './whole-peer.ts'

const inBrowser = (title: string, look: () => Promise<void>) =>
  it.skipIf(!chromium)(chromium ? title : `${title}: not run without Chromium`, look)

const count = (selector: string) => `document.querySelectorAll(${JSON.stringify(selector)}).length`
const focused = "document.activeElement?.id || document.activeElement?.closest('.operation')?.id"

const openAll = `{
  for (const each of document.querySelectorAll('.operation')) each.open = true
}`

const press = (key: string) =>
  `(document.activeElement ?? document.body).dispatchEvent(
    new KeyboardEvent('keydown', { key: '${key}', bubbles: true, cancelable: true }))`

const filterBy = (text: string) => `{
  const filter = document.getElementById('filter')
  filter.value = ${JSON.stringify(text)}
  filter.dispatchEvent(new Event('input'))
}`

const shownIds = `[...document.querySelectorAll('.operation')]
  .filter((each) => each.checkVisibility()).map(({ id }) => id)`

async function opened(tab: Tab, operations: number): Promise<string> {
  await tab.until(count('.operation'), (all) => all === operations)
  await tab.evaluate(openAll)
  await tab.until(count('.operation > .body'), (all) => all === operations)
  return (await tab.evaluate('document.body.innerText')) as string
}

inBrowser('the reference shows every operation of a whole peer, and finds them', async () => {
  const peer = await startWholePeer()
  onTestFinished(() => peer.stop())
  const operations = operationsOf(await documentOf(peer))
  const page = `${peer.http}/reference`
  await withTab(page, async (tab) => {
    const text = await opened(tab, operations.length)
    for (const { path, summary = '' } of operations) {
      expect(text).toContain(path)
      expect(text).toContain(summary.replaceAll('`', ''))
    }
    expect(text).not.toMatch(/undefined|\[object|NaN|could not be read/)
    expect(text).toContain('Needs a key with the scope webhooks:manage.')
    expect(text).toContain(`curl -X DELETE '${peer.http}/api/v1/files/ID'`)
    expect(text).toMatch(/-F 'file=@FILE' \\\s+-F 'kind=image'/)
    expect(text).toMatch(/Too few credits; nothing was done: insufficient_credits/)
    expect(text).toContain('client.chat.completions.create(')
    expect(await tab.evaluate(shownIds)).toHaveLength(operations.length)

    await tab.evaluate(filterBy('webhooks SECRET'))
    expect(await tab.evaluate(shownIds)).toEqual(['post_api_v1_webhooks_id_rotate_secret'])
    const found = "document.getElementById('found').textContent"
    expect(await tab.evaluate(found)).toBe(`1 of ${operations.length} operations`)
    const groups =
      "[...document.querySelectorAll('section')].filter((e) => e.checkVisibility()).length"
    expect(await tab.evaluate(groups)).toBe(1)

    // A link to what the filter hides shows it all the same.
    await tab.open(`${page}#get_api_v1_credits`)
    await tab.until(focused, (id) => id === 'get_api_v1_credits')
    expect(await tab.evaluate(shownIds)).toHaveLength(operations.length)

    await tab.open('about:blank')
    await tab.open(`${page}#get_api_v1_credits`)
    await tab.until(focused, (id) => id === 'get_api_v1_credits')
    expect(await tab.evaluate(count('.operation[open]'))).toBe(1)
    await tab.evaluate(press('/'))
    expect(await tab.evaluate(focused)).toBe('filter')
    await tab.evaluate(filterBy('healthz'))
    await tab.evaluate(press('Enter'))
    await tab.until(focused, (id) => id === 'get_healthz')
    await tab.until('location.hash', (hash) => hash === '#get_healthz')
    await tab.evaluate(press('/'))
    await tab.evaluate(press('Escape'))
    expect(await tab.evaluate(shownIds)).toHaveLength(operations.length)
  })
})

const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>`<b>'

const hostile: RouteModule = (app) => {
  app.post(
    '/things/:id',
    {
      config: { access: 'public' },
      schema: {
        summary: `Summary ${markup}`,
        description: `About ${markup}`,
        tags: [`Tag ${markup}`],
        params: object({ id: string({ description: markup }) }),
        body: closed({
          [markup]: oneOf([markup]),
          quote: string({ description: markup, examples: [`'; rm -rf / #${markup}`] }),
        }),
        response: { 200: { description: markup, content: { [markup]: { schema: object({}) } } } },
      },
    },
    async () => ({}),
  )
}

inBrowser('text in a description is text, whatever it says', async () => {
  const { url } = await startServer([hostile, openApiRoutes({ version: markup }), pageRoutes()])
  await withTab(`${url}/reference`, async (tab) => {
    const text = await opened(tab, 2)
    for (const each of ['Summary', 'About', 'Tag']) expect(text).toContain(`${each} <img src=x`)
    expect(await tab.evaluate(count('main img, main script, main b'))).toBe(0)
    expect(await tab.evaluate('document.title')).toBe('reference · pinaivu peer')
    // Nothing of it ends the quotes of a shell.
    const curl = "document.querySelector('#post_things_id pre').textContent"
    expect(await tab.evaluate(curl)).toContain('"quote":"\'\\\'\'; rm -rf / #<img src=x')
  })
})
