import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { record } from '../../support/records.js'
import { closeAll, followed, logOf, packages } from '../../support/redis-models.js'
import { RedisServer } from '../../support/redis-server.js'
import { until } from '../../support/until.js'

const limits = { maxEvents: 10, maxBytes: 1000, maxAgeMs: 60_000 }

/** As PROTOCOL.md lists them. */
function listedCommands(): string[] {
  const text = readFileSync(join(__dirname, '../../../PROTOCOL.md'), 'utf8')
  const [list = ''] = /A user needs: [\s\S]*?\n\n/.exec(text) ?? []
  const names = list.match(/`[A-Z]+(?: [A-Z]+)?`/g) ?? []
  return names.map((name) => `+${name.slice(1, -1).toLowerCase().replace(' ', '|')}`)
}

describeWithRedis('a user of Redis with the rights that are documented', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterEach(closeAll)

  afterAll(() => server.stop())

  test.each([
    ['ioredis', '', 0],
    ['redis', '', 0],
    ['ioredis', 'staging:', 3],
    ['redis', 'staging:', 3],
  ] as const)(
    'can do all with %s, the keyPrefix %j and database %i',
    async (name, keyPrefix, db) => {
      const patterns = [`~${keyPrefix}{headwater:*`, `&${keyPrefix}{headwater:*`]
      await server.cli(
        'ACL',
        'SETUSER',
        'app',
        'reset',
        'on',
        '>pass',
        ...patterns,
        ...listedCommands(),
      )
      const client = packages[name](server, { keyPrefix, db, username: 'app', password: 'pass' })
      const log = logOf(client)
      await log.ready()
      const got = await followed(log, 'a')
      await log.append('a', [{ data: '1', idempotencyKey: 'k' }])
      await until(() => got.length === 1)
      await log.closeChannel('a')
      expect(await log.claim('s', { token: 't', leaseMs: 1000, limits } as never)).toBeDefined()
      await log.registry.register([record('job')])
      const denied = (await server.cli('ACL', 'LOG')) as unknown[]
      // Drivers say who they are, which may be refused.
      expect(denied.map(String).filter((line) => !/client\|/.test(line))).toEqual([])
      await server.cli('ACL', 'LOG', 'RESET')
    },
  )

  test.each([
    ['~headwater:*', '&{headwater:*'],
    ['~{headwater:*', '&headwater:*'],
  ])('is told what is missing: %s %s', async (keys, channels) => {
    await server.cli('ACL', 'SETUSER', 'app', 'reset', 'on', '>pass', keys, channels, '+@all')
    const redis = new Redis({
      port: server.port,
      username: 'app',
      password: 'pass',
      lazyConnect: true,
    })
    const log = logOf(redis)
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringContaining('~{headwater:* and &{headwater:*'),
    })
  })
})
