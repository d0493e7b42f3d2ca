import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'

/** What a tool of the system said. */
export interface ToolAnswer {
  /** Undefined where there is no such tool, or where it did not come to an end. */
  code: number | undefined
  text: string
}

/** The machine that a service is installed on, as far as that touches it. */
export interface ServiceHost {
  platform: string
  home: string
  /** Who asks. */
  user: { name: string; uid: number }
  node: string
  program: string
  run(tool: string, args: readonly string[], signal: AbortSignal): Promise<ToolAnswer>
}

/** A start of a service waits for no model; a stop may wait for running answers. */
const TOOL_MS = 60_000
const ANSWER_BYTES_MAX = 64 * 1024

export function thisHost(): ServiceHost {
  const { username: name, uid } = userInfo()
  return {
    platform: process.platform,
    home: homedir(),
    user: { name, uid },
    node: process.execPath,
    // Through the link that npm makes: it may point elsewhere after an upgrade.
    program: realpathSync(process.argv[1] ?? ''),
    run: runTool,
  }
}

function runTool(tool: string, args: readonly string[], signal: AbortSignal): Promise<ToolAnswer> {
  const options = {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TOOL_MS)]),
    maxBuffer: ANSWER_BYTES_MAX,
  }
  return new Promise((resolve) => {
    execFile(tool, args, options, (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`.trim()
      if (error === null) resolve({ code: 0, text })
      else if (typeof error.code === 'number') resolve({ code: error.code, text })
      else resolve({ code: undefined, text: text === '' ? error.message : text })
    })
  })
}
