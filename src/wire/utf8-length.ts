/** Bytes of a well-formed text in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // Each half of a surrogate pair stands for two of its four bytes.
    const isHalf = unit >= 0xd800 && unit < 0xe000
    if (unit > 0x7f) bytes += unit > 0x7ff && !isHalf ? 2 : 1
  }
  return bytes
}
