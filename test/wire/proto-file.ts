import { readFileSync } from 'node:fs'

/** What a `.proto` file says, as far as ours go: messages, oneofs and enums without options. */
export interface ProtoFile {
  messages: Record<string, Record<string, ProtoField>>
  enums: Record<string, string[]>
}

export interface ProtoField {
  number: number
  type: string
  repeated: boolean
}

export function readProto(path: string): ProtoFile {
  const text = readFileSync(path, 'utf8').replaceAll(/\/\/.*$/gm, '')
  const file: ProtoFile = { messages: {}, enums: {} }
  // A oneof is no block of its own here: its members are fields of the message.
  const flat = text.replaceAll(/oneof \w+ \{([^}]*)\}/g, '$1')
  for (const [, kind, name = '', body = ''] of flat.matchAll(/(message|enum) (\w+) \{([^}]*)\}/g)) {
    const statements = body.split(';').map((statement) => statement.trim())
    const said = statements.filter((statement) => statement !== '')
    if (kind === 'enum') file.enums[name] = said.map(parseValue)
    else file.messages[name] = Object.fromEntries(said.map(parseField))
  }
  return file
}

function parseValue(statement: string, at: number): string {
  const [, name, number] = /^(\w+) = (\d+)$/.exec(statement) ?? []
  if (name === undefined || Number(number) !== at) throw new Error(`odd value: ${statement}`)
  return name
}

function parseField(statement: string): [string, ProtoField] {
  const [, repeated, type, name, number] = /^(repeated )?(\w+) (\w+) = (\d+)$/.exec(statement) ?? []
  if (type === undefined || name === undefined) throw new Error(`odd field: ${statement}`)
  return [name, { number: Number(number), type, repeated: repeated !== undefined }]
}
