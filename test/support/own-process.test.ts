import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isRunning } from './is-running.js'
import { OwnProcess } from './own-process.js'
import { spawnTypeScript } from './spawn-typescript.js'
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
      import { OwnProcess } from './own-process.js'
      OwnProcess.start('sleep', ['1000'], process.argv[1]).then(({ pid }) => {
        process.kill(pid, 'SIGSTOP')
        console.log(pid)
      })
      setInterval(() => undefined, 1000)`
    const starter = spawnTypeScript(script, folder)
    const [line] = await once(starter.stdout, 'data')
    const pid = Number(line)
    expect(isRunning(pid)).toBe(true)
    starter.kill('SIGKILL')
    await until(() => !isRunning(pid) && !existsSync(folder))
  })

  describe('of a program that starts others', () => {
    const startMany = async () => {
      const script = 'sleep 1000 & trap "kill $!; rm *.pid; exit" TERM; echo $! >sleep.pid; wait'
      const many = await OwnProcess.start('sh', ['-c', script], folder, { pidFolder: folder })
      await until(() => many.startedPids.length === 1)
      return { many, pids: [many.pid, ...many.startedPids] }
    }

    test('is killed with them', async () => {
      const { many, pids } = await startMany()
      expect(pids.every(isRunning)).toBe(true)
      await many.kill()
      expect(pids.filter(isRunning)).toEqual([])
    })

    test('can end them itself', async () => {
      const { many, pids } = await startMany()
      await many.end()
      await many.end()
      expect(pids.filter(isRunning)).toEqual([])
      expect(many.startedPids).toEqual([])
    })

    test('takes them along when another one kills it', async () => {
      const { many, pids } = await startMany()
      process.kill(many.pid, 'SIGKILL')
      await until(() => !pids.some(isRunning))
    })

    test('takes them along when the process that started it is killed', async () => {
      const script = `
        import { OwnProcess } from './own-process.js'
        const many = ['-c', 'sleep 1000 & echo $! >sleep.pid; wait']
        const [folder] = process.argv.slice(1)
        OwnProcess.start('sh', many, folder, { pidFolder: folder })
          .then(({ pid }) => console.log(pid))
        setInterval(() => undefined, 1000)`
      const starter = spawnTypeScript(script, folder)
      const [pid] = await once(starter.stdout, 'data')
      await until(() => existsSync(join(folder, 'sleep.pid')))
      const pids = [Number(pid), Number(readFileSync(join(folder, 'sleep.pid'), 'utf8'))]
      expect(pids.every((one) => one > 0 && isRunning(one))).toBe(true)
      starter.kill('SIGKILL')
      await until(() => !pids.some(isRunning) && !existsSync(folder))
    })
  })
})
