import type { Market, MarketModel } from '../../market/market.ts'
import { capabilitiesField } from '../openai/models.ts'
import type { RouteModule } from '../route.ts'
import {
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  string,
} from '../schema.ts'

const modelSchema = object({
  id: string(),
  display_name: string(),
  category: oneOf(['chat', 'embedding']),
  runtime: oneOf(['sync'], { description: 'Answered in the request, as a whole or as a stream.' }),
  base_credits: integer({ description: 'Before any token.' }),
  billing_type: oneOf(['TOKENS']),
  price: nullable(
    object({
      input: integer({ description: 'Micro-credits per 1,000 tokens, the lowest.' }),
      output: integer(),
    }),
  ),
  supported_modes: array(string()),
  max_prompt_length: nullable(
    integer({ description: 'In characters; the context is what counts.' }),
  ),
  reference_media: nullable(object({})),
  params: array(object({})),
  api_status: oneOf(['available', 'coming_soon', 'studio_only'], {
    description: 'coming_soon: nobody serves it at the moment.',
  }),
  api_input_status: oneOf([
    'available_text',
    'available_url_input',
    'partial_requires_files',
    'requires_files_api',
  ]),
  supported_api_inputs: array(string()),
  requires_files_api: boolean(),
  requires_upload_for_modes: array(string()),
  url_input_supported: boolean(),
  file_kinds: array(string()),
  capabilities: capabilitiesField,
  chat_capabilities: nullable(
    object({
      streaming: boolean(),
      sessions: boolean(),
      attachments: boolean(),
      web_search: boolean(),
      reasoning_effort: array(string()),
      context_length: nullable(integer()),
    }),
  ),
  notices: array(string()),
})
const listSchema = object({ object: literal('list'), data: array(modelSchema) })

/** `GET /models` of the product surface, for everybody; mount it at `/api/v1`. */
export function productModelRoutes({ market }: { market: Pick<Market, 'models'> }): RouteModule {
  return (app) => {
    app.get(
      '/models',
      {
        schema: {
          ...{ summary: 'The models that can be asked here', tags: ['Models'] },
          ...{ querystring: closed({}), response: { 200: listSchema } },
        },
        config: { access: 'public' },
      },
      (): Infer<typeof listSchema> => ({ object: 'list', data: market.models().map(modelJson) }),
    )
  }
}

function modelJson(model: MarketModel): Infer<typeof modelSchema> {
  const { name, kind, contextLength, price, nodes, capabilities, local } = model
  const isEmbedding = kind === 'embedding'
  const sees = capabilities?.includes('vision') === true
  const isServed = nodes > 0 && local?.state !== 'failed'
  return {
    id: name,
    display_name: name,
    category: isEmbedding ? 'embedding' : 'chat',
    runtime: 'sync',
    base_credits: 0,
    billing_type: 'TOKENS',
    price: price === undefined ? null : { input: price.input, output: price.output },
    supported_modes: [isEmbedding ? 'text-to-embedding' : 'text-to-text'],
    max_prompt_length: null,
    reference_media: null,
    params: [],
    api_status: isServed ? 'available' : 'coming_soon',
    api_input_status: sees ? 'available_url_input' : 'available_text',
    supported_api_inputs: sees ? ['text', 'image'] : ['text'],
    requires_files_api: false,
    requires_upload_for_modes: [],
    url_input_supported: sees,
    file_kinds: [],
    ...(capabilities === undefined ? {} : { capabilities: [...capabilities] }),
    chat_capabilities: isEmbedding
      ? null
      : {
          ...{ streaming: true, sessions: true, attachments: false, web_search: false },
          ...{ reasoning_effort: [], context_length: contextLength ?? null },
        },
    notices: isEmbedding ? ['Ask it at /v1/embeddings.'] : [],
  }
}
