import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PeerError } from '../../base/errors.ts'
import { writeDurably } from './model-folder.ts'
import type { Licence } from './remote-file.ts'

/** Who only uses a model needs to agree to none of these: they bind who passes it on, or nobody. */
const free =
  /^(apache-2\.0|mit|bsd(-\dclause.*)?|bsd-[23]-clause|isc|zlib|unlicense|cc0-1\.0|cc-by-(sa-)?[34]\.0|[al]?gpl-.*|mpl-2\.0|ecl-2\.0|afl-3\.0|artistic-2\.0|bsl-1\.0|wtfpl|osl-3\.0|postgresql|ncsa|ms-pl|pddl|odc-by|odbl)$/

export const needsAgreement = ({ id }: Licence): boolean => !free.test(id.toLowerCase())

const FILE = 'licences.json'

/** What was agreed to on this machine: each licence is asked for once. */
export class Licences {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async isAgreed(uri: string, { id }: Licence): Promise<boolean> {
    return (await this.#read())[repoOf(uri)] === id
  }

  async agree(uri: string, { id }: Licence): Promise<void> {
    const all = { ...(await this.#read()), [repoOf(uri)]: id }
    await writeDurably(this.#folder, FILE, `${JSON.stringify(all, null, 2)}\n`)
  }

  async #read(): Promise<Record<string, unknown>> {
    try {
      const value: unknown = JSON.parse(await readFile(join(this.#folder, FILE), 'utf8'))
      return typeof value === 'object' && value !== null ? { ...value } : {}
    } catch {
      // Not there, or damaged: then it is asked once more.
      return {}
    }
  }
}

/** All quants of a model have one licence. */
const repoOf = (uri: string): string => /^hf:[^/]+\/[^:/@]+/.exec(uri)?.[0] ?? uri

export function notAgreed({ id, link }: Licence): PeerError {
  const where = link === undefined ? '' : ` (${link})`
  return new PeerError(
    'licence_not_accepted',
    `This model has the licence ${id}${where}. Read it, and say that you agree with --accept-licence.`,
  )
}
