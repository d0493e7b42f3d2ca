import {
  anything,
  array,
  boolean,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  string,
} from '../schema.ts'

const stepSchema = object({
  step: oneOf(['open', 'segment', 'receipt', 'execution', 'whole', 'routing'], {
    description:
      'open: a node took the work on. segment, receipt: it signed what it had written. ' +
      'execution: the entry of its log. whole: the coordinator’s receipt over the work of several. ' +
      'routing: the entry of the coordinator’s log.',
  }),
  cid: string(),
  by: string({ description: 'The peer that says so.' }),
  job_id: string(),
  at: nullable(string({ description: 'Of an entry, by its author’s clock.' })),
  from: array(string(), { description: 'CIDs of the steps that it rests on.' }),
  signed: nullable(
    boolean({
      description:
        'Whether its own signature holds. null: not looked at here (segments), or signed with ' +
        'its log (execution).',
    }),
  ),
  place: nullable(
    object({ author: string(), epoch: string(), index: integer(), size: integer() }),
    { description: 'In which log, under a head of which size.' },
  ),
})

export const lineageSchema = object({
  object: literal('receipt.lineage'),
  cid: string(),
  job_id: string(),
  request: nullable(string({ description: 'SHA-256 of the id of the request, in hex.' })),
  prompt_root: nullable(string()),
  model: nullable(string()),
  content_id: nullable(string()),
  steps: array(stepSchema, { description: 'The first one first.' }),
  missing: array(string(), { description: 'CIDs of entries that the routing names, not here.' }),
  verified: boolean({
    description: 'Whether all of `proof` holds, or the one signature there is.',
  }),
  proof: nullable(anything(), {
    description: 'A file to check it with and nothing else: protocols/log/proof.schema.json.',
  }),
})
export type LineageJson = Infer<typeof lineageSchema>
