import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Pool } from 'pg'
import { migrations } from '../../../src/log/postgres/migrations.js'
import { migrate } from '../../../src/log/postgres/set-up.js'
import { postgresEventLog, purgePostgres, setUpPostgres } from '../../../src/postgres.js'
import { cli } from '../../support/cli.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { freePort } from '../../support/free-port.js'
import { PostgresServer } from '../../support/postgres-server.js'

const newest = migrations.at(-1)?.version as number

describeWithPostgres('setUpPostgres', () => {
  let server: PostgresServer
  let pool: Pool

  beforeAll(async () => {
    server = await PostgresServer.start()
    pool = new Pool({ connectionString: server.url })
  })

  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  test('makes the schema, and leaves alone what is there', async () => {
    expect(await setUpPostgres(pool, { schema: 'twice' })).toEqual({ from: 0, to: newest })
    const log = postgresEventLog({ pool, schema: 'twice' })
    await log.append('a', [{ data: '1' }])
    expect(await setUpPostgres(pool, { schema: 'twice' })).toEqual({ from: newest, to: newest })
    expect((await log.read('a', 'earliest', { maxEvents: 9, maxLength: 9 })).entries).toHaveLength(
      1,
    )
    await log.close()
  })

  test('is done once, by however many at once', async () => {
    const setUps = Array.from({ length: 6 }, () => setUpPostgres(server.url, { schema: 'crowd' }))
    const from = (await Promise.all(setUps)).map((setUp) => setUp.from)
    expect(from.sort()).toEqual([0, ...Array(5).fill(newest)])
  })

  test('brings an older schema up to date, with what is in it', async () => {
    await migrate(pool, 'older', migrations.slice(0, 1))
    await pool.query(
      `INSERT INTO older.channel (name, head_nonce, head_at, first_at, max_age, expires_at, purge_at)
       VALUES ('a', 7, now(), now(), '1 hour', now() + interval '1 hour', now())`,
    )
    const log = postgresEventLog({ pool, schema: 'older', onHealth: () => undefined })
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(
        /of version 1, and the event log needs 3\. .*npx headwater postgres setup --url postgres:\/\/… --schema older/,
      ),
    })
    expect(await setUpPostgres(pool, { schema: 'older' })).toEqual({ from: 1, to: newest })
    expect(await log.append('a', [{ data: '1' }])).toMatchObject([{ prevId: '0-7' }])
    await log.close()
  })

  test('brings a schema without a registry up to date, with its channels and streams', async () => {
    await migrate(pool, 'unregistered', migrations.slice(0, 2))
    const call = (text: string) => pool.query(`SELECT unregistered.${text}`)
    await call(`append('a', 7, 1, 1, 1, 5000, '{8}', '{0,0,0,1}', '{0}', '1', 10, 100, '1 hour')`)
    await call(`claim('s', 7, 5000, 'mine', '1 hour', '1 hour', null, null, null, null)`)
    await call(`end_stream('s', 5000, false, 'stream-end', '{"state":"completed"}')`)
    const schema = { schema: 'unregistered' }
    expect(await setUpPostgres(pool, schema)).toEqual({ from: 2, to: newest })
    expect(await setUpPostgres(pool, schema)).toEqual({ from: newest, to: newest })
    const log = postgresEventLog({ pool, ...schema })
    const { entries } = await log.read('a', 'earliest', { maxEvents: 9, maxLength: 9 })
    expect(entries).toMatchObject([{ id: '1-8', prevId: '0-7', data: '1' }])
    expect(await log.inspect('s')).toMatchObject({ head: '1-0' })
    expect(await log.dropStream('s')).toBe(true)
    expect(await log.registry.count(1000)).toMatchObject({ active: 0 })
    await pool.query('UPDATE unregistered.channel SET expires_at = now(), purge_at = now()')
    expect(await purgePostgres(pool, schema)).toMatchObject({ entries: 1, records: 0 })
    await log.close()
  })

  test('refuses a schema that is newer than this package, as logs do', async () => {
    await migrate(pool, 'newer', [...migrations, { version: newest + 1, sql: 'SELECT 1' }])
    const isNewer = {
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/newer is of version 4, and this headwater knows 3; upgrade/),
    }
    await expect(setUpPostgres(pool, { schema: 'newer' })).rejects.toMatchObject(isNewer)
    const log = postgresEventLog({ pool, schema: 'newer', onHealth: () => undefined })
    await expect(log.ready()).rejects.toMatchObject(isNewer)
    await expect(log.heads(['a'])).rejects.toMatchObject(isNewer)
    await log.close()
  })

  test('is what a log without a schema asks for, in every call, until it was done', async () => {
    const log = postgresEventLog({ pool, schema: 'absent', onHealth: () => undefined })
    const calls = [
      () => log.ready(),
      () => log.append('a', [{ data: '1' }]),
      () => log.read('a', 'earliest', { maxEvents: 1, maxLength: 1 }),
      () => log.heads(['a']),
      () => log.follow('a', { append: () => undefined, suspect: () => undefined }),
      () => log.closeChannel('a'),
    ]
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'ERR_LOG_REFUSED',
        message: expect.stringMatching(
          /does not exist\. Set up the schema: npx headwater postgres setup/,
        ),
      })
    }
    expect(log.health().state).toBe('down')
    await setUpPostgres(pool, { schema: 'absent' })
    await log.ready()
    expect(log.health().state).toBe('up')
    await pool.query('DROP SCHEMA absent CASCADE')
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/npx headwater postgres setup/),
    })
    await log.close()
  })

  test('says what a user may not do, and what one must', async () => {
    await pool.query(
      'CREATE ROLE app LOGIN; CREATE SCHEMA theirs; GRANT USAGE ON SCHEMA theirs TO app',
    )
    const url = server.url.replace('postgres@', 'app@')
    await expect(setUpPostgres(url, { schema: 'mine' })).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/permission denied for database/),
    })
    await setUpPostgres(pool, { schema: 'theirs' })
    const log = postgresEventLog({ pool: url, schema: 'theirs', onHealth: () => undefined })
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/permission denied.*Allow this user to use the schema theirs/),
    })
    await pool.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA theirs TO app')
    await log.ready()
    await purgePostgres(url, { schema: 'theirs' })
    await log.close()
  })

  test('needs a database in UTF-8', async () => {
    await pool.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    const url = server.url.replace(/postgres$/, 'latin')
    const isLatin = {
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/encoded as LATIN1; the event log needs one that is UTF8/),
    }
    await expect(setUpPostgres(url)).rejects.toMatchObject(isLatin)
  })

  test('says that nothing answers at the address', async () => {
    const url = `postgres://postgres@127.0.0.1:${await freePort()}/postgres`
    await expect(setUpPostgres(url)).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/ECONNREFUSED.* Check the URL/),
    })
  })

  test.each(['Upper', 'a-b', '1a', 'a"b', '', 'x'.repeat(64), 7])(
    'refuses %j as a schema',
    (schema) => {
      expect(() => setUpPostgres(pool, { schema: schema as string })).toThrow(
        /schema is .*give a name/,
      )
    },
  )

  test('is a command, which tells what it has done', async () => {
    const where = ['--url', server.url, '--schema', 'by_command']
    expect(await cli('postgres', 'setup', ...where)).toEqual({
      text: `Made the schema by_command, version ${newest}.\n`,
      code: 0,
    })
    expect(await cli('postgres', 'setup', ...where)).toEqual({
      text: `The schema by_command is at version ${newest} already.\n`,
      code: 0,
    })
    expect(await cli('postgres', 'purge', ...where)).toEqual({
      text: 'Deleted 0 entries; looked at 0 channels and 0 records.\n',
      code: 0,
    })
  })

  test('prints its SQL, which makes the same', async () => {
    const { text } = await cli('postgres', 'setup', '--print', '--schema', 'printed')
    await pool.query(text)
    expect(await setUpPostgres(pool, { schema: 'printed' })).toEqual({ from: newest, to: newest })
    const log = postgresEventLog({ pool, schema: 'printed' })
    await log.ready()
    await log.close()
  })

  test('as a command says what is wrong', async () => {
    expect(await cli('postgres', 'setup', '--url', server.url, '--schema', 'A')).toMatchObject({
      text: expect.stringMatching(/^schema is "A"; give a name/),
      code: 1,
    })
    expect(await cli('redis', 'setup')).toMatchObject({
      text: expect.stringMatching(
        /^There is no command "redis setup"\.\n\nUsage: headwater postgres/,
      ),
      code: 1,
    })
    expect(await cli('postgres', 'setup')).toMatchObject({
      text: expect.stringMatching(/Give --url, or set DATABASE_URL/),
      code: 1,
    })
  })
})
