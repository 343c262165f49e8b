import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { readConnectionUrl } from '../../src/core/connection-url.js'

const isDatabase = (path: string) => /^(?:\/[^/@]*)?$/.test(path)

/** No part of it is a percent-encoded character, which stands for another one. */
const password = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.constantFrom('/', '@', '#', '?', ':', '%', ' ', '\\', '[', ']', '@h/0', '/1@', '1?x', '://'),
    fc.string({
      unit: fc.constantFrom('/', '@', '#', '?', ':', '%', ' ', '1', 'a', '='),
      minLength: 1,
    }),
  )
  .filter((it) => it.isWellFormed() && !it.includes('\0') && !/%[\da-f]{2}/i.test(it))
  // What reads like a query is refused.
  .filter((it) => !/[?][\w.-]+=/.test(it))

describe('a connection URL', () => {
  test('may have a password as it is typed, which each driver reads as it was meant', () => {
    fc.assert(
      fc.property(password, (typed) => {
        const url =
          readConnectionUrl(`postgres://user:${typed}@db.example:5432/1`, isDatabase) ?? ''
        const client = new pg.Client(url)
        const read = { user: client.user, host: client.host, password: Object(client).password }
        expect(read).toEqual({ user: 'user', host: 'db.example', password: typed })

        const redisUrl = url.replace('postgres:', 'redis:')
        const { options } = new Redis(redisUrl, { lazyConnect: true })
        expect(options).toMatchObject({
          host: 'db.example',
          username: 'user',
          password: typed,
          db: 1,
        })
        const own = createClient({ url: redisUrl }).options
        expect(own).toMatchObject({ username: 'user', password: typed, database: 1 })
      }),
      // What seems to have another host, and a query.
      { examples: [['@=?/'], ['@h?'], ['1@h?/1'], ['#1=']] },
    )
  })

  test('may have it percent-encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (typed) => {
        fc.pre(typed.isWellFormed())
        const given = `redis://us%40er:${encodeURIComponent(typed)}@db.example/1`
        const url = readConnectionUrl(given, isDatabase) ?? ''
        const { options } = new Redis(url, { lazyConnect: true })
        expect(options).toMatchObject({ host: 'db.example', username: 'us@er', password: typed })
      }),
    )
  })

  test.each([
    ['redis://127.0.0.1:6379/0'],
    ['redis://h?family=6'],
    ['postgres:///db?host=/var/run/postgresql'],
    ['postgres://user@%2Fvar%2Frun/db'],
    ['postgres://user:pw@h/db?application_name=a@b'],
  ])('is left as it is where it is plain: %s', (url) => {
    expect(readConnectionUrl(url, isDatabase)).toBe(url)
  })

  test.each([
    ['', 'nothing'],
    ['localhost:6379', 'no scheme'],
    ['redis://h:99999', 'a port that is none'],
    ['redis://user:1?a=b@h/0', 'a password that may be a port and a query'],
    ['postgres://h:5432/db?options=a@b', 'a query with an @, and no user'],
    ['redis://h/0#fragment', 'a fragment'],
  ])('is refused where it may be read in two ways, or in none: %s', (url) => {
    expect(readConnectionUrl(url, isDatabase)).toBeUndefined()
  })
})
