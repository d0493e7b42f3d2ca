import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { LONE_TOKEN_MS } from '../../src/market/remote/token-time.ts'
import { declaredModelId } from '../../src/wire/model-id.ts'
import { frames, honest, modelId, type Script, stage } from './coordinator-stage.ts'

/** The id that the nth provider of a stage has for it. Among equals, the lower one is meant first. */
const declared = (nth: number) =>
  declaredModelId('big', identityFromSeed(new Uint8Array(32).fill(nth)).peerId)

const named = (nth: number) => ({ name: 'big', id: declared(nth) })

/** Two providers; the one that is asked first does what the script says, the other is honest. */
async function two(script: Script) {
  const all = await stage()
  const isFirst = declared(1) < declared(2)
  const one = await all.provider({ script: isFirst ? script : honest, model: named(1) })
  const other = await all.provider({ script: isFirst ? honest : script, model: named(2) })
  return { ...all, first: isFirst ? one : other, second: isFirst ? other : one }
}

const failing: Script = async (line) => {
  line.say(frames.accept(), frames.failed('engine_failed'))
}

const cut: Script = async (line) => {
  line.say(frames.accept(), frames.tokens(0, ['Hel']), frames.failed('engine_failed'))
}

describe('a model that is only declared', () => {
  it('is another’s of that name, as long as nothing has come', async () => {
    const { collect, faults, first, second } = await two(failing)
    const { text, routed } = await collect({ model: 'big' })
    expect(text).toBe('Hello world')
    expect(routed.node.id).toBe(second.peerId)
    expect(routed.model).toEqual({ name: 'big', id: declaredModelId('big', second.peerId) })
    expect([first.lines.length, second.lines.length]).toEqual([1, 1])
    expect(faults()).toEqual([])
  })

  it('is nobody else’s behind its first token', async () => {
    const { collect, second } = await two(cut)
    await expect(collect({ model: 'big' })).rejects.toMatchObject({ code: 'provider_failed' })
    expect(second.lines).toHaveLength(0)
  })

  it('may keep to itself for a while what it writes, and not for ever', async () => {
    const { provider, collect, clock } = await stage()
    const quiet =
      (ms: number): Script =>
      async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['Hello']))
        for (let at = 0; at < ms && !line.stream.ended.aborted; at += 1_000) {
          line.say(frames.progress())
          await clock.sleep(1_000, line.stream.ended).catch(() => {})
        }
        line.say(frames.tokens(1, [' world']), frames.done(2))
        while ((await line.hear()) !== undefined);
      }
    const one = await provider({ script: quiet(LONE_TOKEN_MS - 5_000), model: named(1) })
    const whole = collect({ model: 'big' })
    await clock.advance(LONE_TOKEN_MS)
    expect((await whole).text).toBe('Hello world')
    one.script = quiet(LONE_TOKEN_MS + 5_000)
    const cut = expect(collect({ model: 'big' })).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(LONE_TOKEN_MS + 1_000)
    await cut
  })

  it('is nobody else’s for who asks for one peer’s', async () => {
    const { provider, collect } = await stage()
    await provider({ script: failing, model: named(1) })
    const second = await provider({ script: honest, model: named(2) })
    await expect(collect({ model: declared(1) })).rejects.toMatchObject({
      code: 'no_nodes_available',
    })
    expect(second.lines).toHaveLength(0)
  })

  it('never stands for one whose weights are known', async () => {
    const { provider, collect } = await stage()
    await provider({ script: failing, model: { name: 'big', id: modelId('big') } })
    const second = await provider({ script: honest, model: named(2) })
    await expect(collect({ model: 'big' })).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(second.lines).toHaveLength(0)
  })

  it('is asked of few strangers', async () => {
    const { provider, collect } = await stage()
    const all = []
    for (let nth = 1; nth <= 12; nth++) {
      all.push(await provider({ script: failing, model: named(nth) }))
    }
    await expect(collect({ model: 'big' })).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(all.filter(({ lines }) => lines.length > 0).length).toBeLessThanOrEqual(4)
  })

  it('of this machine is another’s where the server behind it is out of reach', async () => {
    const { provider, collect, engine, identity } = await stage()
    for (const status of engine.status()) {
      status.id = declaredModelId(status.name, identity.peerId)
    }
    const [own = { name: '' }] = engine.status()
    engine.script = () => {
      throw new PeerError('model_failed', 'It cannot be reached.')
    }
    const id = declaredModelId(own.name, identityFromSeed(new Uint8Array(32).fill(1)).peerId)
    const other = await provider({ script: honest, model: { name: own.name, id } })
    const { text, routed } = await collect({ model: own.name })
    expect([text, routed.node.id]).toEqual(['Hello world', other.peerId])
  })
})
