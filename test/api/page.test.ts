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
