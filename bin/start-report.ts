import { performance } from 'node:perf_hooks'
import type { Config, ModelStatus, PeerEvent, PeerReady, Reconfigured } from '../src/index.ts'
import { banner } from './banner.ts'
import { type Io, print } from './io.ts'
import { modelFacts } from './model-text.ts'
import { paintFor, safeJson, safeLine } from './text.ts'

/** Tells what a starting and running peer does: as JSON lines, or in words. */
export class StartReport {
  readonly #io: Io
  readonly #json: boolean
  readonly #config: Config
  readonly #states = new Map<string, ModelStatus>()
  readonly #loadingSince = new Map<string, number>()
  readonly #began = performance.now()
  /** What became known of other peers before the ready line. */
  readonly #early: PeerEvent[] = []
  #joined = false
  #ready = false

  constructor(io: Io, config: Config, json: boolean) {
    this.#io = io
    this.#config = config
    this.#json = json
  }

  /** A model's status; only a change of its state is worth a line. */
  model(status: ModelStatus): void {
    const before = this.#states.get(status.name)?.state
    this.#states.set(status.name, status)
    if (before === status.state) return
    if (status.state === 'loading') this.#loadingSince.set(status.name, performance.now())
    // The ready line comes first, and shows or is followed by what happened until then.
    if (this.#ready) this.#tell(status)
  }

  /** Another peer was found or is gone. In words only the first: there may be thousands. */
  peer(event: PeerEvent): void {
    if (!this.#ready) this.#early.push(event)
    else if (this.#json) print(this.#io.stdout, safeJson({ event: 'peer', ...event }))
    else if (!this.#joined && event.state === 'found') {
      this.#joined = true
      const { stdout, env } = this.#io
      const joined = paintFor(stdout, env)('green', 'joined')
      print(stdout, `${joined}  the network: others are found (see "pinaivu-peer peers")`)
    }
  }

  ready(ready: PeerReady): void {
    this.#ready = true
    const { stdout, env } = this.#io
    if (this.#json) print(stdout, safeJson({ event: 'ready', ...ready }))
    else {
      const paint = paintFor(stdout, env)
      const options = { showKey: stdout.isTTY === true, paint, states: this.#states }
      print(stdout, ...banner(ready, this.#config, options))
    }
    for (const status of this.#states.values()) this.#tell(status)
    for (const event of this.#early.splice(0)) this.peer(event)
  }

  /** The configuration was read again. */
  reloaded({ changed, needsRestart }: Reconfigured): void {
    // The ready line comes first.
    if (!this.#ready) return
    const { stdout } = this.#io
    if (this.#json) {
      print(stdout, safeJson({ event: 'reloaded', changed, needs_restart: needsRestart }))
      return
    }
    const what = changed.length === 0 ? 'nothing that counts at once is new' : changed.join(', ')
    const rest = needsRestart.length === 0 ? '' : `; ${needsRestart.join(', ')} needs a restart`
    print(stdout, `Configuration read again: ${what}${rest}.`)
  }

  stopping(): void {
    if (this.#json) return
    print(this.#io.stdout, 'Stopping: running answers are ended first. Ctrl-C again forces it.')
  }

  #tell(status: ModelStatus): void {
    const { stdout, env } = this.#io
    const { name, state, demo, error } = status
    if (this.#json) {
      const kind = status.facts?.kind
      print(stdout, safeJson({ event: 'model', name, state, demo, kind, error }))
      return
    }
    const paint = paintFor(stdout, env)
    const title = safeLine(name)
    if (state === 'ready') {
      const since = this.#loadingSince.get(name) ?? this.#began
      const seconds = ((performance.now() - since) / 1000).toFixed(1)
      const facts = [demo ? 'demo model' : [], modelFacts(status)].flat().join(', ')
      print(stdout, `${paint('green', 'ready')}   ${title} in ${seconds} s (${facts})`)
    } else if (state === 'failed') {
      const why = safeLine(error?.message ?? 'no reason is known')
      print(stdout, `${paint('red', 'failed')}  ${title}: ${why}`)
    } else if (state === 'restarting') {
      print(stdout, `${paint('yellow', 'back soon')} ${title}: its engine ended and is restarted`)
    }
  }
}
