const step = 1024

/** `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < step ? 0 : Math.floor(Math.log(bytes) / Math.log(step))
  const at = Math.min(power, units.length - 1)
  return `${Number((bytes / step ** at).toPrecision(3))} ${units[at]}`
}
