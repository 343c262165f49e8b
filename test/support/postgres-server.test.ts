import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { afterEach, expect, test } from '@jest/globals'
import { describeWithPostgres } from './describe-with-postgres.js'
import { isRunning } from './is-running.js'
import { childrenOf, PostgresServer } from './postgres-server.js'
import { spawnTypeScript } from './spawn-typescript.js'
import { until } from './until.js'

describeWithPostgres('PostgresServer', () => {
  const servers: PostgresServer[] = []

  const start = async () => {
    const server = await PostgresServer.start()
    servers.push(server)
    return server
  }

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop()
  })

  test('keeps what was committed through a crash', async () => {
    const server = await start()
    await server.query('CREATE TABLE t AS SELECT 1 AS n')
    await server.kill()
    await expect(server.query('SELECT n FROM t')).rejects.toThrow()
    await server.restart()
    expect(await server.query('SELECT n FROM t')).toEqual([{ n: 1 }])
  })

  test('answers nothing while it is frozen, and all of it once it is thawed', async () => {
    const server = await start()
    server.freeze()
    const answers: unknown[] = []
    const answered = server.query('SELECT 1 AS n').then((rows) => answers.push(rows))
    for (let n = 0; n < 20; n++) spawnSync('true')
    expect(answers).toEqual([])
    server.thaw()
    await answered
    expect(answers).toEqual([[{ n: 1 }]])
  })

  test('can be ended while it is frozen, and leaves nothing', async () => {
    const server = await start()
    const [{ pid } = { pid: 0 }] = await server.query('SELECT pg_backend_pid() AS pid')
    server.freeze()
    await server.kill()
    await server.stop()
    expect(isRunning(pid as number)).toBe(false)
  })

  test('ends with the process that started it, though frozen', async () => {
    const script = `
      import { PostgresServer } from './postgres-server.js'
      PostgresServer.start().then(async (server) => {
        const [row] = await server.query("SELECT current_setting('data_directory') AS folder")
        const { readFileSync } = await import('node:fs')
        const [pid] = readFileSync(row.folder + '/postmaster.pid', 'utf8').split('\\n')
        server.freeze()
        console.log(JSON.stringify({ pid: Number(pid), folder: row.folder }))
      })`
    const child = spawnTypeScript(script)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { pid, folder } = JSON.parse(String(line)) as { pid: number; folder: string }
    const children = childrenOf(pid)
    expect(children.length).toBeGreaterThan(2)
    child.kill('SIGKILL')
    await until(() => ![pid, ...children].some(isRunning))
    await until(() => !existsSync(folder))
  })
})
