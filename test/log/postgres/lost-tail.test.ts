import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { EventLog } from '../../../src/index.js'
import { postgresEventLog, setUpPostgres } from '../../../src/postgres.js'
import { setUp } from '../../support/app.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import type { SseClient } from '../../support/sse-client.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'
import { lostTailSuite, seen } from '../lost-tail-suite.js'

const options = { maxBytes: 100_000_000, timeoutMs: 20_000, onHealth: () => undefined }

describeWithPostgres('postgresEventLog, whose log lost its end,', () => {
  describe('as a standby was promoted that had not got it', () => {
    let primary: PostgresServer
    let standby: PostgresServer
    /** What processes and the standby know as the primary. */
    let front: TcpProxy
    let replication: TcpProxy

    beforeEach(async () => {
      primary = await PostgresServer.start()
      await setUpPostgres(primary.url)
      front = await TcpProxy.start(primary.url)
      replication = await TcpProxy.start(primary.url)
      standby = await PostgresServer.standbyOf(replication.url)
    })

    afterEach(async () => {
      for (const proxy of [front, replication]) await proxy.close()
      for (const server of [primary, standby]) await server.stop()
    })

    lostTailSuite(() => ({
      open: () => postgresEventLog({ pool: front.url, ...options }),
      save: async () => {
        const [row] = await primary.query('SELECT pg_current_wal_lsn()::text AS lsn')
        const text = 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done'
        await until(async () => (await standby.query(text, [row?.lsn]))[0]?.done === true, 30_000)
        replication.cut()
      },
      goBack: async () => {
        front.cut()
        await primary.kill()
        await standby.promote()
        front.leadTo(standby.url)
        front.heal()
      },
    }))
  })

  describe('as its rows were brought back from a backup while it ran', () => {
    let server: PostgresServer
    const logs: EventLog[] = []

    beforeEach(async () => {
      server = await PostgresServer.start()
      await setUpPostgres(server.url)
    })

    afterEach(async () => {
      for (const log of logs.splice(0)) await log.close()
      await server.stop()
    })

    /** A process of the application. */
    async function startApp() {
      const log = postgresEventLog({ pool: server.url, pollIntervalMs: 60_000, ...options })
      logs.push(log)
      const { eventStream, app, serve } = setUp({ log })
      app.get('/events', eventStream('a'))
      const connect = await serve()
      return {
        connect: (lastEventId?: string) => connect('/events', { lastEventId }),
        publish: async (...numbers: number[]) => {
          for (const n of numbers) await eventStream.publishEvent('a', { data: n })
        },
      }
    }

    const tables = ['channel', 'entry', 'producer']

    async function save(): Promise<void> {
      const copies = tables.map((it) => `CREATE TABLE saved.${it} AS TABLE headwater.${it};`)
      await server.query(`DO $$ BEGIN CREATE SCHEMA saved; ${copies.join(' ')} END $$`)
    }

    /** In one transaction, and without breaking a connection. */
    async function goBack(): Promise<void> {
      const moves = tables.map(
        (it) => `DELETE FROM headwater.${it};
          INSERT INTO headwater.${it} OVERRIDING SYSTEM VALUE SELECT * FROM saved.${it};`,
      )
      await server.query(`DO $$ BEGIN ${moves.join(' ')} END $$`)
    }

    const inAnyOrder = (client: SseClient) => seen(client).map(String).sort()

    test('a client that was away is told once, though no connection broke', async () => {
      const app = await startApp()
      await app.publish(1, 2, 3)
      const away = await (await app.connect()).opened()
      away.destroy()
      await save()
      await app.publish(4, 5, 6, 7, 8, 9)
      await goBack()
      await app.publish(10)
      const back = await app.connect(away.lastEventId)
      await until(() => back.data.at(-1) === 10 && back.text.includes('stream-reset'))
      await app.publish(11)
      await until(() => back.data.at(-1) === 11)
      expect(inAnyOrder(back)).toEqual(['10', '11', 'reset unknown', 'stream-open'])
    })

    test('a client is told once, whichever process serves it and whichever has published', async () => {
      const [first, second, third] = [await startApp(), await startApp(), await startApp()]
      await first.publish(1, 2, 3)
      const away = await (await first.connect()).opened()
      away.destroy()
      await save()
      await first.publish(4, 5, 6, 7, 8, 9)
      await goBack()
      await second.publish(10)
      await first.publish(11)
      for (const app of [third, second, first]) {
        const back = await app.connect(away.lastEventId)
        await until(() => back.data.at(-1) === 11 && back.text.includes('stream-reset'))
        expect(inAnyOrder(back)).toEqual(['10', '11', 'reset unknown', 'stream-open'])
      }
    })

    test('a process that has told its client of what is lost finds out by what another one appends', async () => {
      const [first, second] = [await startApp(), await startApp()]
      await first.publish(1, 2, 3)
      const [stays, away] = [await first.connect(), await first.connect()]
      for (const client of [stays, away]) await client.opened()
      away.destroy()
      await save()
      await first.publish(4, 5, 6, 7, 8, 9)
      await stays.received(6)
      await goBack()
      await second.publish(10)
      await until(() => stays.text.includes('stream-reset'))
      const back = await second.connect(away.lastEventId)
      await until(() => back.data.at(-1) === 10 && back.text.includes('stream-reset'))
      expect(inAnyOrder(back)).toEqual(['10', 'reset unknown', 'stream-open'])
    })
  })
})
