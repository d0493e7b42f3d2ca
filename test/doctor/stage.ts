import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { lookForPeer } from '../../bin/doctor-peer.ts'
import type { FlagValues } from '../../src/config/config.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type ExamineOptions, examine } from '../../src/examine.ts'

/** A machine at full load is slow, and not what is tested. */
const PATIENCE_MS = 25_000

export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-doctor-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface Patient {
  flags?: FlagValues
  env?: Record<string, string>
  more?: Partial<ExamineOptions>
}

/** What the doctor says of one thing, on a data folder of its own if no other is named. */
export async function diagnose(check: string, patient: Patient = {}): Promise<Finding[]> {
  return await examineAll({ ...patient, more: { only: [check], ...patient.more } })
}

/** What it says of everything. */
export async function examineAll(patient: Patient): Promise<Finding[]> {
  const { flags, env = {}, more } = patient
  return await examine({
    sources: {
      flags: {
        'data-dir': temporaryFolder(),
        http: '127.0.0.1:0',
        listen: ['/ip4/127.0.0.1/tcp/0'],
        ...flags,
      },
      env: { PATH: '/nowhere', ...env },
    },
    lookForPeer,
    signal: new AbortController().signal,
    ms: PATIENCE_MS,
    ...more,
  })
}

/** A program of that name in a folder of its own, which is returned: for PATH. */
export function fakeProgram(name: string, script: string): string {
  const folder = temporaryFolder()
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return folder
}

/** The root of a file system in which Linux shows these devices on the PCI bus. */
export function fakeBus(devices: readonly { kind: string; maker: string }[]): string {
  const root = temporaryFolder()
  for (const [at, { kind, maker }] of devices.entries()) {
    const folder = join(root, `sys/bus/pci/devices/0000:0${at}:00.0`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'class'), `${kind}\n`)
    writeFileSync(join(folder, 'vendor'), `${maker}\n`)
  }
  return root
}
