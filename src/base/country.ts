// Regions that CLDR names and that are no country: unions, test regions, "unknown".
const notCountries = new Set(['EU', 'EZ', 'UN', 'QO', 'XA', 'XB', 'ZZ'])
const countryNames = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' })

const unionMembers: ReadonlySet<string> = new Set(
  ('AT BE BG CY CZ DE DK EE ES FI FR GR HR HU ' + 'IE IT LT LU LV MT NL PL PT RO SE SI SK').split(
    ' ',
  ),
)

/** The ISO 3166 alpha-2 code that a text means, in upper case; undefined for what is no country. */
export function countryCode(text: string): string | undefined {
  const code = text.toUpperCase()
  const known = /^[A-Z]{2}$/.test(code) && countryNames.of(code) !== undefined
  if (!known || notCountries.has(code)) return undefined
  // "UK" is a common spelling of GB.
  return new Intl.Locale(`und-${code}`).region ?? code
}

/** Where work may be bound to: a country, or `EU` for any of its members. */
export const jurisdictionCode = (text: string): string | undefined =>
  text.toUpperCase() === 'EU' ? 'EU' : countryCode(text)

/** Whether a peer that says it is in `country` may see what is bound to `jurisdiction`. */
export function liesWithin(country: string | undefined, jurisdiction: string): boolean {
  if (country === undefined) return false
  return jurisdiction === 'EU' ? unionMembers.has(country) : country === jurisdiction
}
