export interface Part {
  name?: string
  filename?: string
  type?: string
  /** In place of the usual one. */
  disposition?: string
  body: Uint8Array | string
}

export const BOUNDARY = 'pinaivu-test-boundary'
export const formType = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }

/** A form as its bytes, right or wrong. */
export function form(parts: readonly Part[], end = `--${BOUNDARY}--\r\n`): Buffer {
  const pieces = parts.flatMap(({ name, filename, type, disposition, body }) => {
    const named = `form-data; name="${name}"`
    const said =
      disposition ?? (filename === undefined ? named : `${named}; filename="${filename}"`)
    const head = `--${BOUNDARY}\r\nContent-Disposition: ${said}\r\n`
    const typed = type === undefined ? '' : `Content-Type: ${type}\r\n`
    return [Buffer.from(`${head}${typed}\r\n`), Buffer.from(body as string), Buffer.from('\r\n')]
  })
  return Buffer.concat([...pieces, Buffer.from(end)])
}

export const filePart = (body: Uint8Array, filename = 'a.bin'): Part => ({
  name: 'file',
  filename,
  body,
})
export const field = (name: string, body: string): Part => ({ name, body })
