import { afterAll, beforeAll, describe, test } from '@jest/globals'
import { Pool } from 'pg'
import { type PostgresPool, postgresEventLog, setUpPostgres } from '../../../src/postgres.js'
import { eventLogSuite, registrySuite, streamLogSuite } from '../../../src/testing.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'

describeWithPostgres('postgresEventLog', () => {
  let server: PostgresServer
  let shared: Pool

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    shared = new Pool({ connectionString: server.url })
  })

  afterAll(async () => {
    await shared.end()
    await server.stop()
  })

  const sources: Record<string, () => string | PostgresPool> = {
    'a pool': () => shared,
    'a URL': () => server.url,
  }
  describe.each(Object.keys(sources))('with %s', (name) => {
    const pool = sources[name] as () => string | PostgresPool
    eventLogSuite(test, async (limits) => postgresEventLog({ ...limits, pool: pool() }))
    // Nobody else looks for a follower whose producer is gone.
    streamLogSuite(test, async (limits) =>
      postgresEventLog({ ...limits, pool: pool(), pollIntervalMs: 200 }),
    )
    registrySuite(test, async () => {
      // Tests share a schema, and each one begins with nobody in it.
      await shared.query('TRUNCATE headwater.record')
      return postgresEventLog({ pool: pool() })
    })
  })
})
