import { renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Rereading } from '../../bin/reread.ts'
import { temporaryFolder } from './stage.ts'

const OLD = new Date('2020-01-01')

describe('what is asked to read a file again', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: new Date('2026-01-01') })
    onTestFinished(() => void vi.useRealTimers())
  })

  function stage() {
    const folder = temporaryFolder()
    const path = join(folder, 'config.toml')
    /** Its time is that of the test. */
    const write = (text: string, at = new Date()) => {
      writeFileSync(path, text)
      utimesSync(path, at, at)
    }
    write('', OLD)
    utimesSync(folder, OLD, OLD)
    const reread = vi.fn()
    const rereading = new Rereading(path, reread)
    return { folder, path, write, reread, rereading }
  }

  it('reads it at once where nobody writes to it', () => {
    const { reread, rereading } = stage()
    for (let at = 1; at <= 3; at++) {
      rereading.ask()
      expect(reread).toHaveBeenCalledTimes(at)
    }
  })

  it('waits until it is whole, and reads it once for all who asked', () => {
    const { write, reread, rereading } = stage()
    for (let at = 0; at < 5; at++) {
      write('price = ')
      for (let asked = 0; asked < 100; asked++) rereading.ask()
      vi.advanceTimersByTime(150)
    }
    expect(reread).not.toHaveBeenCalled()
    vi.advanceTimersByTime(50)
    expect(reread).toHaveBeenCalledTimes(1)
    rereading.ask()
    expect(reread).toHaveBeenCalledTimes(2)
  })

  it('waits for a file that an editor has just moved away', () => {
    const { folder, path, reread, rereading } = stage()
    renameSync(path, `${path}~`)
    utimesSync(folder, new Date(), new Date())
    rereading.ask()
    expect(reread).not.toHaveBeenCalled()
    vi.advanceTimersByTime(200)
    expect(reread).toHaveBeenCalledTimes(1)
  })

  it('reads what keeps changing, has a time that is to come, or has gone with its folder', () => {
    const { folder, write, reread, rereading } = stage()
    rereading.ask()
    for (let at = 0; at < 60; at++) {
      write('x')
      rereading.ask()
      vi.advanceTimersByTime(50)
    }
    expect(reread.mock.calls.length).toBeGreaterThan(1)
    reread.mockClear()
    write('x', new Date('2030-01-01'))
    vi.advanceTimersByTime(2_000)
    rereading.ask()
    rmSync(folder, { recursive: true })
    rereading.ask()
    expect(reread.mock.calls.length).toBeGreaterThan(1)
  })

  it('reads nothing once it is stopped', () => {
    const { write, reread, rereading } = stage()
    write('x')
    rereading.ask()
    rereading.stop()
    vi.advanceTimersByTime(5_000)
    expect(reread).not.toHaveBeenCalled()
  })
})
