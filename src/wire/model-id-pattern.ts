/** What `shown` allows, without spaces: it stands in URLs and on command lines. */
const NAME = '[^\\u0000-\\u0020\\u007f-\\u00a0\\u2028-\\u202e\\u2066-\\u2069]+'
const PEER_ID = '12D3Koo[1-9A-HJ-NP-Za-km-z]{45}'
/** The only spelling of such a CID: base32, with zeros as the bits that are left over. */
const CID = 'bafkrei[a-h][a-z2-7]{50}[aeimquy4]'

export const modelNamePattern = new RegExp(`^${NAME}$`)
export const modelIdPattern = new RegExp(`^(cid:${CID}|declared:${NAME}@${PEER_ID})$`)
