/** Where a schema stands in `openapi.json`: an operation, then the steps from there. */
export type Place = readonly [operation: string, ...steps: (string | number)[]]

export interface TypeName {
  name: string
  at: Place
  /** What it has in common with this one, is said there. */
  extends?: string
}

const type = (name: string, operation: string, ...steps: (string | number)[]): TypeName => ({
  name,
  at: [operation, ...steps],
})
const more = (base: string, ...named: Parameters<typeof type>): TypeName => ({
  ...type(...named),
  extends: base,
})

const chat = 'POST /v1/chat/completions'
const turn = 'POST /api/v1/chat/completions'
const key = 'POST /api/v1/auth/api-keys'
const hook = '/api/v1/webhooks'
const receipt = '/v8/receipts'

/**
 * What the SDK calls the schemas of the routes, by the file below `src/sdk/types` that says them.
 * Steps: `request`, a status or `events`; then names of members, `[]` for what is in a list, and the
 * number of an alternative.
 */
export const typeFiles: Readonly<Record<string, readonly TypeName[]>> = {
  chat: [
    type('ChatCompletionRequest', chat, 'request'),
    type('ChatMessage', chat, 'request', 'messages', '[]'),
    type('ChatCompletion', chat, '200'),
    type('ChatCompletionChunk', chat, 'events', 0),
    type('ChatTool', chat, 'request', 'tools', '[]'),
    type('ChatToolCall', chat, '200', 'choices', '[]', 'message', 'tool_calls', '[]'),
    type('ResponseFormat', chat, 'request', 'response_format'),
    type('TokenUsage', chat, '200', 'usage'),
    type('AnswerReceipt', chat, '200', 'receipt'),
    type('AnswerNode', chat, 'events', 0, 'node'),
    type('MaxPrice', chat, 'request', 'max_price', 1),
    type('NodeChoice', chat, 'request', 'node'),
  ],
  completions: [
    type('CompletionRequest', 'POST /v1/completions', 'request'),
    type('Completion', 'POST /v1/completions', '200'),
    type('EmbeddingRequest', 'POST /v1/embeddings', 'request'),
    type('Embeddings', 'POST /v1/embeddings', '200'),
  ],
  conversation: [
    type('ChatTurnRequest', turn, 'request', 0),
    type('ChatTurn', turn, '200', 0),
    type('ChatStarted', turn, 'events', 0),
    type('ReplyMessage', turn, '200', 0, 'message'),
    type('ChatSession', 'GET /api/v1/chat/sessions', '200', 'data', '[]'),
    more('ChatSession', 'ChatSessionWithMessages', 'GET /api/v1/chat/sessions/{id}', '200'),
    type('ChatSessionMessage', 'GET /api/v1/chat/sessions/{id}', '200', 'messages', '[]'),
    type('DeletedChatSession', 'DELETE /api/v1/chat/sessions/{id}', '200'),
  ],
  models: [
    type('Model', 'GET /v1/models', '200', 'data', '[]'),
    type('CatalogModel', 'GET /api/v1/models', '200', 'data', '[]'),
  ],
  account: [
    type('ApiKey', 'GET /api/v1/auth/api-keys', '200', 'data', '[]'),
    type('NewApiKey', key, 'request'),
    more('ApiKey', 'ApiKeyWithSecret', key, '201'),
    type('KeyRotation', `${key}/{id}/rotate`, 'request'),
    more('ApiKey', 'RevokedApiKey', 'DELETE /api/v1/auth/api-keys/{id}', '200'),
    type('Me', 'GET /api/v1/auth/me', '200'),
    type('Credits', 'GET /api/v1/credits', '200'),
    type('CreditGrant', 'POST /api/v1/credits/grants', 'request'),
    type('CreditTransaction', 'POST /api/v1/credits/grants', '201'),
    type('CreditAudit', 'GET /api/v1/credits/audit', '200'),
    type('PeerBalance', 'GET /api/v1/credits/owed', '200', 'data', '[]'),
    type('UsageReport', 'GET /v1/usage', '200'),
  ],
  files: [
    type('FileObject', 'POST /api/v1/files', '201'),
    type('DeletedFile', 'DELETE /api/v1/files/{id}', '200'),
  ],
  webhooks: [
    type('NewWebhook', `POST ${hook}`, 'request'),
    type('WebhookChange', `PATCH ${hook}/{id}`, 'request'),
    type('Webhook', `GET ${hook}/{id}`, '200'),
    more('Webhook', 'WebhookWithSecret', `POST ${hook}`, '201'),
    more('WebhookWithSecret', 'RotatedWebhook', `POST ${hook}/{id}/rotate-secret`, '200'),
    type('DeletedWebhook', `DELETE ${hook}/{id}`, '200'),
    type('WebhookDelivery', `POST ${hook}/{id}/test`, '200'),
    type('WebhookEvent', 'GET /api/v1/webhook-events', '200', 'data', '[]'),
  ],
  network: [
    type('NetworkSummary', 'GET /v8/network/summary', '200'),
    type('NetworkPeers', 'GET /v8/network/peers', '200'),
    type('NetworkPeer', 'GET /v8/network/peers', '200', 'data', '[]'),
    type('Readiness', 'GET /readyz', '200'),
    type('ModelState', 'GET /readyz', '200', 'models', '[]'),
  ],
  receipts: [
    type('ReceiptLine', `GET ${receipt}/recent`, '200', 'data', '[]'),
    more('ReceiptLine', 'Receipt', `GET ${receipt}/{cid}`, '200'),
    type('ReceiptPart', `GET ${receipt}/{cid}`, '200', 'parts', '[]'),
    type('RoutingReceipt', 'GET /v1/receipts/{id}', '200', 0),
    type('ReceiptLineage', `GET ${receipt}/{cid}/lineage`, '200'),
    type('LineageStep', `GET ${receipt}/{cid}/lineage`, '200', 'steps', '[]'),
    type('LogHead', 'GET /v8/log/heads', '200', 'data', '[]'),
    more('LogHead', 'LogPart', 'GET /v8/log/{author}', 'lines', 0),
    type('LogEntry', 'GET /v8/log/{author}', 'lines', 1),
  ],
}
