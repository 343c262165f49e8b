import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { OwnProcess } from './own-process.js'
import { until } from './until.js'

describe('OwnProcess', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'own-process-'))
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  test('has the output and the end of a program', async () => {
    const process = await OwnProcess.start('sh', ['-c', 'echo out; echo error >&2; exit 1'], folder)
    await until(() => process.hasExited)
    expect(process.output).toBe('out\nerror\n')
    process.signal('SIGTERM')
    await process.kill()
  })

  test('says so when there is no such program', async () => {
    await expect(OwnProcess.start('/no/such/program', [], folder)).rejects.toThrow('ENOENT')
  })

  test('ends, and its folder goes, when the process that started it is killed', async () => {
    const script = `
      const { OwnProcess } = require(${JSON.stringify(join(__dirname, 'own-process.ts'))})
      OwnProcess.start('sleep', ['1000'], process.argv[1]).then(({ pid }) => {
        process.kill(pid, 'SIGSTOP')
        console.log(pid)
        setInterval(() => undefined, 1000)
      })`
    const starter = spawn(process.execPath, ['-r', 'esbuild-register', '-e', script, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(starter.stdout, 'data')
    const pid = Number(line)
    expect(isRunning(pid)).toBe(true)
    starter.kill('SIGKILL')
    await until(() => !isRunning(pid) && !existsSync(folder))
  })
})

function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`
  try {
    process.kill(pid, 0)
    // In a container it may be that nobody asks how an orphan ended, which then stays as a zombie.
    return !(existsSync(stat) && readFileSync(stat, 'utf8').includes(') Z '))
  } catch {
    return false
  }
}
