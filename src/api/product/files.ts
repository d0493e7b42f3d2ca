import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { FileLinks } from '../../accounts/files/file-links.ts'
import type { FileRecord } from '../../accounts/files/file-record.ts'
import { defaultFiles, type FileStore, fileNotFound } from '../../accounts/files/file-store.ts'
import { fileKinds } from '../../accounts/files/media/media-type.ts'
import type { Upload } from '../../accounts/files/upload.ts'
import { PeerError } from '../../base/errors.ts'
import { check } from '../check.ts'
import { servedOnce } from '../idempotency.ts'
import { acceptForms, FORM_OVERHEAD_BYTES, readForm } from '../multipart.ts'
import { type PageQuery, pageFields, pageOf, pageSchema } from '../page-of.ts'
import type { RouteModule } from '../route.ts'
import {
  anything,
  boolean,
  closed,
  type Infer,
  literal,
  object,
  oneOf,
  optional,
  string,
} from '../schema.ts'
import { sendContent } from './file-content.ts'
import { fileJson, fileSchema } from './file-json.ts'

export interface FileComponents {
  files: Pick<FileStore, 'begin' | 'keep' | 'discard' | 'get' | 'find' | 'list' | 'open' | 'delete'>
  links: FileLinks
}

const detailsFields = {
  kind: oneOf(fileKinds),
  model: optional(string({ minLength: 1, maxLength: 256, description: 'What it is meant for.' })),
  client_request_id: optional(string({ maxLength: 128 })),
}
const detailsSchema = closed(detailsFields)
const formSchema = closed({
  file: string({
    description:
      'The bytes. Pictures (JPEG, PNG, WebP) and sound (MP3, MP4, WAV, AAC, Ogg) of 10 MiB, films ' +
      '(MP4, QuickTime, WebM) of 50 MiB at most. Their content decides what they are.',
    contentMediaType: 'application/octet-stream',
  }),
  ...detailsFields,
})
const deletedSchema = object({ id: string(), object: literal('file'), deleted: boolean() })
const linkQuery = closed({
  expires: string({ maxLength: 16 }),
  signature: string({ maxLength: 64 }),
})
const content200 = {
  200: {
    description: 'The bytes, or with `Range` some of them.',
    content: { '*/*': { schema: anything() } },
  },
}

const read = { access: 'files:read' } as const
const tags = ['Files']
const params = object({ id: string({ description: '`file_…`' }) })
const errors = ['file_not_found']
type ById = { Params: Infer<typeof params> }

const FORM_BYTES_MAX = Math.max(...Object.values(defaultFiles.fileBytesMax)) + FORM_OVERHEAD_BYTES

/** `/files` of the product surface; mount it at `/api/v1`. */
export function fileRoutes({ files, links }: FileComponents): RouteModule {
  const found = async (request: FastifyRequest<ById>): Promise<FileRecord> => {
    const record = await files.get(request.principal.account, request.params.id)
    if (record === undefined) throw fileNotFound()
    return record
  }
  const shown = (request: FastifyRequest) => {
    const base = baseOf(request)
    return (record: FileRecord) => fileJson(record, links, base)
  }
  return (app) => {
    app.register(async (scope) => uploadRoute(scope, { files, links }))
    app.get<{ Querystring: PageQuery }>(
      '/files',
      {
        schema: {
          ...{ summary: 'List files', tags, querystring: closed(pageFields) },
          response: { 200: pageSchema(fileSchema) },
        },
        config: read,
      },
      (request) => {
        const { account } = request.principal
        return pageOf(request.query, (range) => files.list(account, range), shown(request))
      },
    )
    app.get<ById>(
      '/files/:id',
      {
        schema: { summary: 'A file', tags, params, response: { 200: fileSchema }, errors },
        config: read,
      },
      async (request) => shown(request)(await found(request)),
    )
    app.delete<ById>(
      '/files/:id',
      {
        schema: {
          summary: 'Delete a file',
          tags,
          params,
          response: { 200: deletedSchema },
          errors,
        },
        config: { access: 'files:create' },
      },
      async ({ principal, params: { id } }): Promise<Infer<typeof deletedSchema>> => {
        await files.delete(principal.account, id)
        return { id, object: 'file', deleted: true }
      },
    )
    contentRoutes(app, { files, links }, found)
  }
}

/** The bytes: for whoever has the key, and for whoever has the link. */
function contentRoutes(
  app: FastifyInstance,
  { files, links }: FileComponents,
  found: (request: FastifyRequest<ById>) => Promise<FileRecord>,
): void {
  app.get<ById>(
    '/files/:id/content',
    {
      schema: {
        ...{ summary: 'The content of a file', tags, params, response: content200 },
        errors: [...errors, 'range_not_satisfiable'],
      },
      config: read,
    },
    async (request, reply) => sendContent(request, reply, await found(request), files),
  )
  app.get<ById & { Querystring: Infer<typeof linkQuery> }>(
    '/files/:id/download',
    {
      schema: {
        ...{ summary: 'The same, by the `url` of the file', tags, params },
        ...{ querystring: linkQuery, response: content200 },
        errors: ['link_invalid', 'link_expired', ...errors, 'range_not_satisfiable'],
      },
      config: { access: 'public' },
    },
    async (request, reply) => {
      const { expires, signature } = request.query
      links.check(request.params.id, { expires: Number(expires), signature })
      const record = await files.find(request.params.id)
      if (record === undefined) throw fileNotFound()
      return sendContent(request, reply, record, files)
    },
  )
}

/** A scope of its own: here alone a body is a form. */
function uploadRoute(scope: FastifyInstance, { files, links }: FileComponents): void {
  acceptForms(scope)
  scope.post(
    '/files',
    {
      schema: {
        ...{ summary: 'Send a file', tags, form: formSchema, response: { 201: fileSchema } },
        errors: ['unsupported_file', 'file_quota_exceeded', 'storage_full'],
      },
      config: { access: 'files:create', idempotent: 'form' },
    },
    async (request, reply) => {
      if (request.body === undefined) throw noForm()
      const { account } = request.principal
      let sent: { upload: Upload; filename: string | undefined } | undefined
      try {
        const fields = await readForm(
          request,
          { bodyBytesMax: FORM_BYTES_MAX },
          async ({ filename, chunks }) => {
            const upload = await files.begin(account)
            sent = { upload, filename }
            for await (const chunk of chunks) await upload.write(chunk)
          },
        )
        const details = detailsOf(fields)
        const { upload, filename } = sent as NonNullable<typeof sent>
        const said = { ...details, filename, sha256: upload.draft.sha256() }
        return await servedOnce({ request, reply, deed: 'creation', said }, async () => {
          sent = undefined
          const record = await files.keep(account, upload, { ...details, filename })
          reply.code(201)
          return fileJson(record, links, baseOf(request))
        })
      } finally {
        if (sent !== undefined) await files.discard(sent.upload)
      }
    },
  )
}

function detailsOf(form: ReadonlyMap<string, string>) {
  const fields = Object.fromEntries(form)
  const fault = check(detailsSchema, fields)
  if (fault !== undefined) throw fault
  const { kind, model, client_request_id: clientRequestId } = fields as Infer<typeof detailsSchema>
  return { kind, model, clientRequestId }
}

const noForm = () =>
  new PeerError('unsupported_media_type', 'Send the file as `multipart/form-data`.')

/** Where this surface is: the name was checked at the entrance. */
const baseOf = ({ protocol, host }: FastifyRequest): string => `${protocol}://${host}/api/v1`
