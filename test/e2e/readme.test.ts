import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { program, temporaryFolder } from './peer-process.ts'

const run = promisify(execFile)

// What else the README shows is tried by docs.test.ts.

describe('the README', () => {
  it('promises the curl line of the banner, and that line works', async () => {
    const folder = temporaryFolder()
    const env = { PATH: process.env.PATH ?? '', HOME: folder.path }
    const banner = execFile(
      process.execPath,
      [
        program,
        ...['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0'],
        ...['--data-dir', folder.path],
      ],
      { env },
    )
    const ended = new Promise((resolve) => banner.once('exit', resolve))
    try {
      let text = ''
      const line = await new Promise<string>((resolve, reject) => {
        banner.once('exit', () => reject(new Error(`no curl line in:\n${text}`)))
        banner.stdout?.on('data', (data: string) => {
          text += data
          const found = /^ *(curl [\s\S]*?[^\\])\n/m.exec(text)?.[1]
          if (found !== undefined) resolve(found)
        })
      })
      const { stdout } = await run('bash', ['-euc', line], { env })
      expect(stdout).toMatch(/content/)
      // Not a terminal, so the key itself is not shown.
      expect(text).not.toContain('sk-pnv-')
    } finally {
      banner.kill('SIGINT')
      await ended
      folder.remove()
    }
  })
})
