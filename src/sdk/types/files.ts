// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** What `POST /api/v1/files` answers. */
export interface FileObject {
  id: string
  object: 'file'
  kind: 'image' | 'video' | 'audio'
  model: string | null
  filename: string
  /** By the content of the file. */
  mime_type: string
  bytes: number
  sha256: string
  /** Gives the content to whoever has it, without a key, for an hour. */
  url: string
  duration_seconds: number | null
  duration_token: string | null
  created_at: string
  /** When `url` does. The file stays until it is deleted. */
  expires_at: string
  client_request_id: string | null
}

/** What `DELETE /api/v1/files/{id}` answers. */
export interface DeletedFile {
  id: string
  object: 'file'
  deleted: boolean
}
