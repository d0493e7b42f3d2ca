import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { pageRoutes } from '../../src/api/page.ts'
import { startServer } from './harness.ts'

const files = ['/', '/style.css', '/app.js', '/favicon.svg']

describe('the status page', () => {
  it.each(files)('%s is public, and nothing foreign can get into it', async (path) => {
    const { url } = await startServer([pageRoutes()])
    const answer = await fetch(url + path)
    expect(answer.status).toBe(200)
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    const text = await answer.text()
    expect(text).not.toMatch(/sk-pnv-|innerHTML|insertAdjacentHTML|document\.write|eval\(/)
  })

  it('has no inline script, style or handler, and loads only its own files', async () => {
    const { url } = await startServer([pageRoutes()])
    const html = await (await fetch(url)).text()
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/)
    expect(html).toContain('href="/reference"')
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, to]) => to)
    expect(loaded).toContain('/app.js')
    for (const to of loaded) expect(to).toMatch(/^\/[\w./-]*$/)
  })

  it('has the types that a browser insists on', async () => {
    const { url } = await startServer([pageRoutes()])
    const types = await Promise.all(
      files.map(async (path) => (await fetch(url + path)).headers.get('content-type')),
    )
    expect(types).toEqual([
      'text/html; charset=utf-8',
      'text/css; charset=utf-8',
      'text/javascript; charset=utf-8',
      'image/svg+xml',
    ])
  })

  it('is sent again only when it changed', async () => {
    const { url } = await startServer([pageRoutes()])
    const etag = (await fetch(`${url}/app.js`)).headers.get('etag') ?? ''
    const again = await fetch(`${url}/app.js`, { headers: { 'if-none-match': etag } })
    expect(again.status).toBe(304)
    expect(await again.text()).toBe('')
  })
})

describe('the reference', () => {
  it.each(['/reference', '/reference.js', '/reference-schema.js'])(
    '%s is public, runs no script but its own, and asks nobody else',
    async (path) => {
      const { url } = await startServer([pageRoutes()])
      const answer = await fetch(url + path)
      expect(answer.status).toBe(200)
      const policy = answer.headers.get('content-security-policy') ?? ''
      expect(policy).toMatch(/^default-src 'none'; script-src 'self';/)
      expect(policy).not.toMatch(/unsafe|\*|https?:/)
      const text = await answer.text()
      expect(text).not.toMatch(/sk-pnv-|innerHTML|insertAdjacentHTML|document\.write|eval\(/)
      expect(text).not.toMatch(/<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|https?:/)
      for (const [, to] of text.matchAll(/(?:src|href|from)[= ]["']([^"']+)["']/g)) {
        expect(to).toMatch(/^(\.?\/[\w./-]*)$/)
      }
    },
  )
})

describe('the page of ghost tokens', () => {
  const page = async () => {
    const { url } = await startServer([pageRoutes()])
    const answer = await fetch(`${url}/ghost`)
    return { url, html: await answer.text(), headers: answer.headers }
  }

  it('is one public file, whose own script and style alone are run', async () => {
    const { html, headers } = await page()
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(policy).toMatch(/^default-src 'none'; script-src 'self' 'sha256-[\w+/]{43}='; style-src/)
    const [, script = ''] = /<script type="module">(.*?)<\/script>/s.exec(html) ?? []
    const hash = createHash('sha256').update(script).digest('base64')
    expect(policy).toContain(`script-src 'self' 'sha256-${hash}'`)
    expect(html).not.toMatch(/sk-pnv-|innerHTML|insertAdjacentHTML|document\.write|eval\(/)
    expect(html).not.toMatch(/\sstyle=|\son\w+=|https?:/)
    expect(html).toMatch(/#ghost \{\s*opacity: 0\.55;/)
    expect(html.match(/<script/g)).toHaveLength(1)
  })

  it('imports the reader of the SDK, of which each module is there, and nothing else is', async () => {
    const { url, html } = await page()
    const [, entry = ''] = /from '(\/modules\/[^']+)'/.exec(html) ?? []
    const wanted = [new URL(entry, url).href]
    for (const module of wanted) {
      const answer = await fetch(module)
      expect(answer.status, module).toBe(200)
      expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
      expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
      for (const [, path = ''] of (await answer.text()).matchAll(/\bfrom '([^']+)'/g)) {
        expect(path).toMatch(/^\.\.?\//)
        const next = new URL(path, module).href
        if (!wanted.includes(next)) wanted.push(next)
      }
    }
    expect(wanted.length).toBeGreaterThan(10)
    for (const path of ['node.ts', 'node.js', 'sdk/index.ts', '..%2Fnode.ts', 'sdk', '']) {
      expect((await fetch(`${url}/modules/${path}`)).status).toBe(404)
    }
  })
})
