import { InvalidError, openOwnModels, parseModel, readConfig, settingList } from '../src/index.ts'
import { agreeing } from './ask.ts'
import { type Command, type Input, optionOf } from './command.ts'
import { CommandError, exitCodes, type Io, print, UsageError } from './io.ts'
import { bytesText } from './model-text.ts'
import { modelJson } from './models-stored.ts'
import { PullProgress } from './pull-progress.ts'
import { paintFor, safeJson, safeLine } from './text.ts'

const flags: readonly string[] = ['accept-licence', 'model-quota']

export const modelsPull: Command = {
  name: 'models pull',
  operands: '[NAME=]URI',
  operandsMax: 1,
  summary: 'Fetch a model onto this machine: from the Hugging Face hub, an address, or a file.',
  options: settingList.filter(({ flag }) => flags.includes(flag)).map(optionOf),
  details: [
    'URI is hf:ORG/REPO:QUANT, an https:// address (also one copied from a page of the hub), a path, ' +
      'or a name that is known: phi-4, llama-3.2-3b, llama3.2:1b, llama3.2:3b, tinyllama, ' +
      'nomic-embed-text. Without a quant it is Q4_K_M, where there is one.',
    'A pull that was interrupted goes on where it stopped when it is asked for again. All bytes are ' +
      'compared with the SHA-256 that the hub names. For gated and private repos set HF_TOKEN; it is ' +
      'sent to the hub alone. HF_ENDPOINT names another hub.',
    'With --json: a line for each event, and as the last one the model.',
  ],
  examples: [
    [
      'pinaivu-peer models pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0',
      'One quant of a repo',
    ],
    ['pinaivu-peer models pull llama3.2:1b', 'The same, by its short name'],
    ['pinaivu-peer models pull mine=https://example.org/model.gguf', 'Under another name'],
    ['pinaivu-peer start --model llama3.2:1b', 'Serve it; start pulls what is not here yet'],
  ],
  run: runPull,
}

async function runPull(input: Input, io: Io): Promise<number> {
  const [operand] = input.operands
  if (operand === undefined) throw new UsageError('Say what to pull: models pull hf:ORG/REPO:QUANT')
  const config = readConfig({ flags: input.values, env: io.env })
  const spec = parseModel(operand, { env: io.env })
  const models = await openOwnModels(config, { env: io.env })
  const { json } = input
  const paint = paintFor(io.stdout, io.env)
  const progress = new PullProgress(io.stdout, { json, paint })
  try {
    const { model, wasThere } = await models.pull(spec, {
      signal: io.signal,
      onEvent: (event) => progress.show(event),
      agree: agreeing(io, { accepted: config.acceptLicence, json }),
    })
    progress.end()
    if (json) {
      print(io.stdout, safeJson({ event: 'pulled', was_there: wasThere, ...modelJson(model) }))
    } else {
      const what = wasThere ? 'is here, and whole' : 'is stored'
      const line = `${model.name} (${bytesText(model.sizeBytes)}) ${what}. Serve it:`
      const command = `pinaivu-peer start --model ${model.name}`
      print(io.stdout, `${paint('green', '✓')} ${safeLine(`${line} ${command}`)}`)
    }
    return exitCodes.done
  } catch (error) {
    progress.end()
    if (io.signal.aborted) {
      print(io.stderr, 'Stopped. The same command goes on where this one stopped.')
      return exitCodes.failed
    }
    // An address that is no good is the command line's fault; what lies behind it is not.
    if (error instanceof InvalidError) throw new CommandError(error.message)
    throw error
  }
}
