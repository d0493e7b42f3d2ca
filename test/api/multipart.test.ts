import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { acceptForms, readForm } from '../../src/api/multipart.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { PeerError } from '../../src/base/errors.ts'
import { field, filePart, form, formType } from './form.ts'
import { startServer } from './harness.ts'

it('a form whose file was not taken to its last byte is not read', async () => {
  const route: RouteModule = (app) => {
    app.register(async (scope) => {
      acceptForms(scope)
      scope.post('/form', { config: { access: 'inference' } }, async (request) => {
        await readForm(request, { bodyBytesMax: 1_000_000 }, async ({ chunks }) => {
          for await (const _chunk of chunks);
          // The parser has come to the end of the form by then.
          await nextTurn()
          throw new PeerError('storage_full', 'The disk is full.')
        })
        return { ok: true }
      })
    })
  }
  const { url } = await startServer([route])
  const response = await fetch(`${url}/form`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-owner', ...formType },
    body: form([field('kind', 'image'), filePart(Buffer.alloc(100_000))]) as BodyInit,
  })
  expect(response.status).toBe(507)
})
