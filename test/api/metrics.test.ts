import { describe, expect, it } from 'vitest'
import { PromMetrics } from '../../src/api/metrics.ts'
import { asOwner, startServer } from './harness.ts'

describe('metrics', () => {
  it('of two peers in one process stay apart', async () => {
    const [one, two] = [new PromMetrics(), new PromMetrics()]
    one.counter('pinaivu_things_total', 'Things.', ['kind']).add(3, { kind: 'a' })
    two.counter('pinaivu_things_total', 'Things.', ['kind']).add(1, { kind: 'b' })
    expect(await one.text()).toContain('pinaivu_things_total{kind="a"} 3')
    expect(await one.text()).not.toContain('kind="b"')
  })

  it('have counters, gauges and histograms', async () => {
    const metrics = new PromMetrics()
    metrics.counter('c_total', 'C.').add()
    metrics.gauge('g', 'G.', ['x']).set(1.5, { x: 'y' })
    const histogram = metrics.histogram('h_seconds', 'H.', [1, 2], ['x'])
    histogram.observe(1.5, { x: 'y' })
    const text = await metrics.text()
    expect(text).toContain('# HELP c_total C.')
    expect(text).toContain('c_total 1')
    expect(text).toContain('g{x="y"} 1.5')
    expect(text).toContain('h_seconds_bucket{le="1",x="y"} 0')
    expect(text).toContain('h_seconds_bucket{le="2",x="y"} 1')
  })

  it('count requests by the route’s template, never by what a client wrote', async () => {
    const { url, metrics } = await startServer([
      (app) => {
        app.get('/thing/:id', { config: { access: 'key' } }, () => ({ ok: true }))
      },
    ])
    for (const id of ['a', 'b', 'c"d']) {
      await fetch(`${url}/thing/${encodeURIComponent(id)}`, { headers: asOwner })
    }
    await fetch(`${url}/thing/secret`)
    await fetch(`${url}/nowhere/secret?secret`)
    const line = /^pinaivu_http_requests_total\{(.*)\} (\d+)$/gm
    await expect
      .poll(async () => [...(await metrics.text()).matchAll(line)].map(([, l, n]) => `${l} ${n}`))
      .toEqual([
        'method="GET",route="/thing/:id",status="200" 3',
        'method="GET",route="/thing/:id",status="401" 1',
        'method="unknown",route="unknown",status="404" 1',
      ])
    const text = await metrics.text()
    expect(text).not.toContain('secret')
    expect(text).toContain('pinaivu_http_request_seconds_count{route="/thing/:id"} 4')
  })
})
