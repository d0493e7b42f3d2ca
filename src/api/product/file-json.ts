import type { FileLinks } from '../../accounts/files/file-links.ts'
import type { FileRecord } from '../../accounts/files/file-record.ts'
import { fileKinds } from '../../accounts/files/media/media-type.ts'
import { type Infer, integer, literal, nullable, number, object, oneOf, string } from '../schema.ts'

export const fileSchema = object({
  id: string(),
  object: literal('file'),
  kind: oneOf(fileKinds),
  model: nullable(string()),
  filename: string(),
  mime_type: string({ description: 'By the content of the file.' }),
  bytes: integer(),
  sha256: string(),
  url: string({ description: 'Gives the content to whoever has it, without a key, for an hour.' }),
  duration_seconds: nullable(number({ description: 'Null where the file does not say it.' })),
  duration_token: nullable(
    string({ description: "This peer's word for the duration, for a day." }),
  ),
  created_at: string(),
  expires_at: string({ description: 'When `url` does. The file stays until it is deleted.' }),
  client_request_id: nullable(string()),
})

/** `base`: where this surface is, as the one who asks calls it. */
export function fileJson(
  record: FileRecord,
  links: FileLinks,
  base: string,
): Infer<typeof fileSchema> {
  const { id, durationMs } = record
  const { expires, signature } = links.linkTo(id)
  return {
    id,
    object: 'file',
    kind: record.kind,
    model: record.model,
    filename: record.filename,
    mime_type: record.mimeType,
    bytes: record.bytes,
    sha256: record.sha256,
    url: `${base}/files/${id}/download?expires=${expires}&signature=${signature}`,
    duration_seconds: durationMs === null ? null : durationMs / 1000,
    duration_token: durationMs === null ? null : links.durationToken(id, durationMs),
    created_at: new Date(record.createdAt).toISOString(),
    expires_at: new Date(expires * 1000).toISOString(),
    client_request_id: record.clientRequestId,
  }
}
