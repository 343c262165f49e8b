import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

const run = promisify(execFile)
const root = join(__dirname, '../..')
let folder: string
let files: string[]

/** A project of a user, who has installed what is packed; `npm test` has built it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-package-'))
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--silent', '--ignore-scripts', '--pack-destination', folder],
    {
      cwd: root,
    },
  )
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [
    { filename: string; files: { path: string }[] },
  ]
  files = packed.files.map(({ path }) => path)
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, 'headwater'), { recursive: true })
  await run(
    'tar',
    ['xzf', packed.filename, '--strip-components=1', '-C', join(modules, 'headwater')],
    {
      cwd: folder,
    },
  )
  const others = ['negotiator', 'eventsource-parser', 'express', 'react', 'react-dom']
  for (const name of ['@fanoutio', '@types', ...others]) {
    await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
}, 120_000)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function node(file: string, code: string): Promise<string> {
  await writeFile(join(folder, file), code)
  const { stdout } = await run(process.execPath, [file], { cwd: folder })
  return stdout.trim()
}

describe('the package', () => {
  test('holds what is needed and nothing else', () => {
    const other = files.filter((path) => !path.startsWith('dist/')).sort()
    expect(other).toEqual(['CHANGELOG.md', 'LICENSE', 'PROTOCOL.md', 'README.md', 'package.json'])
    expect(files).toContain('dist/index.d.ts')
    expect(files.filter((path) => /test|example/.test(path))).toEqual(
      expect.arrayContaining(['dist/testing.js']),
    )
  })

  test('can be imported, and required without a warning, and gives the same classes', async () => {
    const output = await node(
      'both.mjs',
      `import { createRequire } from 'node:module'
       import * as imported from 'headwater'
       import { eventLogSuite } from 'headwater/testing'
       import * as web from 'headwater/fetch'
       import * as observe from 'headwater/observe'
       import * as resilience from 'headwater/resilience'
       import { createResumableStreamContext as anyRedis } from 'headwater/resumable'
       import { createResumableStreamContext as ioredis } from 'headwater/resumable/ioredis'
       import { createResumableStreamContext as generic } from 'headwater/resumable/generic'
       process.on('warning', (warning) => console.log(String(warning)))
       const required = createRequire(import.meta.url)('headwater')
       await new Promise((resolve) => setImmediate(resolve))
       console.log(JSON.stringify([
         Object.keys(imported).sort(), imported.EventStream === required.EventStream, typeof eventLogSuite,
         anyRedis === ioredis, typeof generic, Object.keys(observe).sort(), Object.keys(resilience).sort(),
         Object.keys(web).sort(),
       ]))`,
    )
    expect(JSON.parse(output)).toEqual([
      [
        'EventStream',
        'EventStreamError',
        'channelName',
        'getEventStreamSingleton',
        'memoryEventLog',
      ],
      true,
      'function',
      true,
      'function',
      ['healthHandler', 'metricsHandler', 'prometheusMetrics', 'statusPage'],
      [
        'CompletionStore',
        'StreamGuardian',
        'StreamRegistry',
        'ownerOnly',
        'recoveryHandler',
        'resilience',
      ],
      ['errorResponse', 'fetchHandler'],
    ])
  })

  test('has a program, which can be run in a clone as well', async () => {
    const { stdout } = await run(join(root, 'dist/cli.js'), ['--help'])
    expect(stdout).toContain('headwater doctor')
  })

  test('has a client for Node, and another one for browsers that needs nothing of Node', async () => {
    const output = await node(
      'client.mjs',
      `import { createServer } from 'node:http'
       import { createEventSource } from 'headwater/client'
       import * as browser from './node_modules/headwater/dist/client.js'
       import * as own from 'headwater/client'
       const server = createServer((req, res) => {
         res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: {"n":1}\\n\\n')
       }).listen(0, '127.0.0.1', async () => {
         const names = [browser, own].map((all) => Object.keys(all).sort().join())
         for await (const { json } of createEventSource('http://127.0.0.1:' + server.address().port)) {
           console.log(JSON.stringify([json, names[0] === names[1], names[0]]))
           break
         }
         server.close()
         server.closeAllConnections()
       })`,
    )
    expect(JSON.parse(output)).toEqual([
      { n: 1 },
      true,
      'EventSourceClient,EventSourceError,createEventSource,recoverFrom,shareTabs,storeIn',
    ])
    const client = files.filter((path) => /^dist\/client(\.js|\/.*\.js)$/.test(path))
    const texts = await Promise.all(
      client.map((path) => readFile(join(folder, 'node_modules/headwater', path), 'utf8')),
    )
    expect(texts.join()).not.toMatch(/from 'node:|require\(/)
  })

  test('has hooks for React, which need nothing of Node and are for clients', async () => {
    const output = await node(
      'react.mjs',
      `import { createElement } from 'react'
       import { renderToString } from 'react-dom/server'
       import * as hooks from 'headwater/react'
       const Status = () => hooks.useEventStream('/events').status
       console.log(JSON.stringify([Object.keys(hooks), renderToString(createElement(Status))]))`,
    )
    expect(JSON.parse(output)).toEqual([['useEventStream', 'useResumableStream'], 'connecting'])
    const parts = files.filter((path) => /^dist\/react(\.js|\/.*\.js)$/.test(path))
    const texts = await Promise.all(
      parts.map((path) => readFile(join(folder, 'node_modules/headwater', path), 'utf8')),
    )
    expect(texts.join()).not.toMatch(/from 'node:|require\(/)
    expect(texts.filter((text) => text.startsWith("'use client'"))).toHaveLength(1)
  })

  test('says what to install for Redis where neither package is, and needs none without', async () => {
    const output = await node(
      'redis.mjs',
      `import { EventStream } from 'headwater'
       import { redisEventLog } from 'headwater/redis'
       const eventStream = new EventStream({ redis: 'redis://127.0.0.1:1' })
       process.on('warning', () => undefined)
       const error = await eventStream.ready().catch((error) => error)
       console.log(JSON.stringify([error.code, error.message, typeof redisEventLog]))`,
    )
    expect(JSON.parse(output)).toEqual([
      'ERR_OPTION',
      expect.stringMatching(/run: npm install ioredis$/),
      'function',
    ])
  })

  test('says what to install for Postgres where it is not, also as a command', async () => {
    const output = await node(
      'postgres.mjs',
      `import { postgresEventLog, setUpPostgres } from 'headwater/postgres'
       process.on('warning', () => undefined)
       const log = postgresEventLog({ pool: 'postgres://127.0.0.1:1/none' })
       const errors = [await log.ready().catch((error) => error)]
       errors.push(await setUpPostgres('postgres://127.0.0.1:1/none').catch((error) => error))
       console.log(JSON.stringify(errors.map(({ code, message }) => [code, message])))
       await log.close()`,
    )
    const noPackage = ['ERR_OPTION', expect.stringMatching(/run: npm install pg$/)]
    expect(JSON.parse(output)).toEqual([noPackage, noPackage])
    const { bin } = JSON.parse(
      await readFile(join(folder, 'node_modules/headwater/package.json'), 'utf8'),
    ) as { bin: { headwater: string } }
    const command = join(folder, 'node_modules/headwater', bin.headwater)
    const { stdout } = await run(process.execPath, [command, 'postgres', 'setup', '--print'])
    expect(stdout).toMatch(/^BEGIN;\n\nCREATE SCHEMA IF NOT EXISTS headwater;/)
    const setUp = run(process.execPath, [command, 'postgres', 'setup', '--url', 'postgres://h/d'])
    await expect(setUp).rejects.toMatchObject({
      stderr: expect.stringMatching(/npm install pg\n$/),
    })
  })

  test('says what to install for Prometheus where it is not', async () => {
    const output = await node(
      'prometheus.mjs',
      `import { EventStream } from 'headwater'
       import { prometheusMetrics } from 'headwater/observe'
       const error = await prometheusMetrics(new EventStream()).catch((error) => error)
       console.log(JSON.stringify([error.code, error.message]))`,
    )
    expect(JSON.parse(output)).toEqual([
      'ERR_OPTION',
      expect.stringMatching(/run: npm install prom-client$/),
    ])
  })

  test('says so when metrics are scraped as well, where 500 says nothing', async () => {
    const output = await node(
      'scraped.mjs',
      `import { createServer } from 'node:http'
       import { EventStream } from 'headwater'
       import { metricsHandler } from 'headwater/observe'
       const handler = metricsHandler(new EventStream({ onError: ({ message }) => console.log(message) }))
       const server = createServer(handler).listen(0, '127.0.0.1', async () => {
         console.log((await fetch('http://127.0.0.1:' + server.address().port)).status)
         server.close()
       })`,
    )
    expect(output).toMatch(/run: npm install prom-client\n500$/)
  })

  test.each([
    ['user.mts', 'nodenext'],
    ['user.cts', 'nodenext'],
    ['user.cts', 'node20'],
    ['user.mts', 'esnext'],
  ])(
    'has types for %s with module %s',
    async (file, module) => {
      await writeFile(
        join(folder, file),
        `import { EventStream, type EventsOf, type NewEvent } from 'headwater'
       import { fetchHandler } from 'headwater/fetch'
       export const GET = fetchHandler(new EventStream(), 'room-{id}')
       export const hello: EventsOf<{ 'room-{id}': { hello: number } }, 'room-7'> = { hello: 1 }
       new EventStream<{ 'room-{id}': { hello: number } }>().publishEvent('room-7', { event: 'hello', data: 1 })
       import { createResumableStreamContext } from 'headwater/resumable'
       export const context = createResumableStreamContext({ waitUntil: null })
       import { type ObservedMessages, statusPage } from 'headwater/observe'
       import { createEventSource } from 'headwater/client'
       export const source = createEventSource<{ tick: { n: number } }>('http://127.0.0.1:1')
       source.addEventListener('tick', ({ json }) => json.n.toFixed())
       source.addEventListener('error', ({ error }) => error.status?.toFixed())
       source.addEventListener('tick', { handleEvent: ({ json }) => json.n.toFixed() }, { once: true })
       source.addEventListener('any', (event) => event.target)
       source.addEventListener('message', null)
       source.onmessage = function (event) {
         this.close()
         const asOfPages: MessageEvent<string> = event
         source.removeEventListener('message', (heard: MessageEvent) => heard === asOfPages)
       }
       export const target: EventTarget = source
       import { useEventStream } from 'headwater/react'
       export const useTick = () => useEventStream<{ tick: { n: number } }>('/a').last?.json.n.toFixed()
       import { postgresEventLog } from 'headwater/postgres'
       import { type Resilience, resilience } from 'headwater/resilience'
       export const guarded: Resilience = resilience(new EventStream())
       import { redisEventLog } from 'headwater/redis'
       import { eventLogSuite } from 'headwater/testing'
       export const log = redisEventLog({ redis: 'redis://127.0.0.1' })
       export const other = postgresEventLog({ pool: 'postgres://127.0.0.1/none' })
       export const page = statusPage(new EventStream())
       export const latency = (message: ObservedMessages['headwater:publish']) => message.latencyMs
       const event: NewEvent = { event: 'a', data: [1] }
       const published: Promise<{ readonly id: string }> = new EventStream().publishEvent('a', event)
       export const all = [published, eventLogSuite]
       // @ts-expect-error: no such option
       new EventStream({ nothing: 1 })`,
      )
      const resolution = module === 'esnext' ? ['--moduleResolution', 'bundler'] : []
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      const options = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node']
      await run(process.execPath, [tsc, file, '--module', module, ...resolution, ...options], {
        cwd: folder,
      })
      expect(files).toContain('dist/testing.d.ts')
    },
    60_000,
  )

  test('runs the example of the README', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const [, code = ''] = /```js\n(import express[\s\S]*?)```/.exec(readme) ?? []
    expect(code).toContain('app.listen(3000)')
    const anyPort = 'const server = app.listen(0, () => console.log(server.address().port))'
    await writeFile(join(folder, 'readme.mjs'), code.replace('app.listen(3000)', anyPort))
    const server = spawn(process.execPath, ['readme.mjs'], { cwd: folder })
    try {
      const [port] = (await once(server.stdout, 'data')) as [Buffer]
      const url = `http://127.0.0.1:${String(port).trim()}`
      const client = await (await connect(`${url}/events/7`)).opened()
      const response = await fetch(`${url}/rooms/7`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"text":"hello"}',
      })
      const { id } = (await response.json()) as { id: string }
      await client.received(1)
      client.destroy()
      expect([response.status, client.events]).toEqual([
        201,
        [{ event: 'message', data: '{"text":"hello"}', id }],
      ])
    } finally {
      const ended = once(server, 'exit')
      server.kill()
      await ended
    }
    await until(() => server.exitCode !== null || server.signalCode !== null)
  }, 30_000)
})
