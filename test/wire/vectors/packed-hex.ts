/** Runs shorter than this are not worth a second look. */
const RUN_BYTES_MIN = 256
const UNIT_BYTES_MAX = 100

/**
 * Hex, with `<hex>*<count>` for what is there many times over, parts being separated by a space:
 * `0a 61*1000`. The largest messages would otherwise be most of the file.
 */
export function packHex(bytes: Uint8Array): string {
  const all = Buffer.from(bytes)
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < all.length; ) {
    const run = runAt(all, at)
    if (run === undefined) {
      at++
      continue
    }
    if (at > from) parts.push(all.toString('hex', from, at))
    parts.push(`${all.toString('hex', at, at + run.unit)}*${run.count}`)
    at += run.unit * run.count
    from = at
  }
  if (from < all.length) parts.push(all.toString('hex', from))
  return parts.join(' ')
}

export function unpackHex(text: string): Uint8Array {
  const parts = text.split(' ').map((part) => {
    const [hex = '', count = '1'] = part.split('*')
    return Buffer.from(hex.repeat(Number(count)), 'hex')
  })
  return new Uint8Array(Buffer.concat(parts))
}

function runAt(all: Buffer, at: number): { unit: number; count: number } | undefined {
  for (let unit = 1; unit <= UNIT_BYTES_MAX; unit++) {
    let end = at + unit
    while (end < all.length && all[end] === all[end - unit]) end++
    const count = Math.floor((end - at) / unit)
    if (count > 1 && count * unit >= RUN_BYTES_MIN) return { unit, count }
  }
  return undefined
}
