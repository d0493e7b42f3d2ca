import { describe, expect, it, onTestFinished } from 'vitest'
import { BusyError } from '../../src/base/errors.ts'
import { chromium } from '../sdk/browser.ts'
import { withTab } from '../sdk/tab.ts'
import { startTestApi, type TestApi } from './openai-server.ts'
import { done, draft, said, tokens } from './v8-script.ts'

const markup = '<img src=x onerror="document.title=1">&lt;<script>document.title=2</script>'

const fill = ({ apiKey, chatModel }: TestApi) => `{
  const { key, model } = document.getElementById('form').elements
  key.value = '${apiKey}'
  model.value = '${chatModel}'
}`

const ask = "document.getElementById('form').requestSubmit()"

const shown = `Object.fromEntries(
  ['settled', 'ghost', 'trouble', 'committed', 'accepted', 'rolled-back', 'node']
    .map((id) => [id, document.getElementById(id).textContent]))`

const textOf = (id: string) => `document.getElementById('${id}').textContent`

const title = 'the page of ghost tokens in a browser'

describe.skipIf(!chromium)(chromium ? title : `${title}: not run without Chromium`, () => {
  it('shows drafts at 55 %, until they are settled or gone, markup as text, and errors', async () => {
    const api = await startTestApi()
    onTestFinished(() => api.stop())
    const gate = Promise.withResolvers<void>()
    api.engine.script = async function* (job, signal) {
      yield* said(tokens(0, [1], 'A '), draft(1, [2, 3], markup))(job, signal)
      await gate.promise
      yield* [tokens(1, [2], markup), tokens(2, [4], '!'), done(3)]
    }
    await withTab(`${api.origin}/ghost`, async (tab) => {
      await tab.evaluate(fill(api))
      await tab.evaluate(ask)
      await tab.until(textOf('ghost'), (text) => text === markup)
      const style = "getComputedStyle(document.getElementById('ghost')).opacity"
      expect(await tab.evaluate(style)).toBe('0.55')
      expect(await tab.evaluate(shown)).toMatchObject({ settled: 'A ', committed: '1' })
      gate.resolve()
      await tab.until(textOf('settled'), (text) => text === `A ${markup}!`)
      await tab.until("document.getElementById('stop').disabled", (is) => is === true)
      expect(await tab.evaluate(shown)).toMatchObject({
        ...{ ghost: '', trouble: '', committed: '3', accepted: '1', 'rolled-back': '1' },
      })
      const elements = "document.querySelectorAll('#answer img, #answer script').length"
      expect(await tab.evaluate(elements)).toBe(0)
      expect(await tab.evaluate('document.title')).toContain('ghost tokens')

      api.engine.script = async function* (job, signal) {
        yield* said(tokens(0, [1], 'B'), draft(1, [2], ' <b>guess'))(job, signal)
        throw new BusyError('The engine <i>died</i>.')
      }
      await tab.evaluate(ask)
      await tab.until(textOf('trouble'), (text) => text !== '')
      expect(await tab.evaluate(shown)).toMatchObject({
        ...{ trouble: 'The engine <i>died</i>.', settled: 'B', ghost: '' },
      })
    })
  })
})
