import { expect, test } from '@jest/globals'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { startCluster } from '../support/redis-cluster.js'
import { startSentinel } from '../support/redis-sentinel.js'
import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'
import type { Report, Scenario } from './run.js'
import { allowTime, expectKeptPromise, runScenario } from './run-scenario.js'
import { copy, endSide, startSide } from './side.js'
import { SwitchingProxy } from './switching-proxy.js'

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

function isCopying(state: PromiseSettledResult<Readonly<Record<string, string>>>): boolean {
  return state.status === 'fulfilled' && state.value.master_link_status === 'up'
}

describeWithRedis('when Redis moves', () => {
  allowTime()

  /** Cuts a master off from its replica, which then takes over; both take writes for a while. */
  async function runPartitions(name: string, options: Partial<Scenario>): Promise<Report> {
    let [master, replica] = [await startSide(), await startSide()]
    await copy(master, replica)
    const proxy = await SwitchingProxy.start(master.server.port)
    try {
      return await runScenario(name, {
        source: { url: `redis://127.0.0.1:${proxy.port}` },
        ...options,
        strike: async () => {
          master.link.freeze()
          // From nothing that is lost to a lot.
          await delay(Math.random() < 0.5 ? 0 : Math.random() * 300)
          await replica.server.promote()
          proxy.switchTo(replica.server.port)
          master.link.cut()
          master.link.thaw()
          master.link.heal()
          ;[master, replica] = [replica, master]
          await copy(master, replica)
        },
      })
    } finally {
      proxy.close()
      for (const side of [master, replica]) await endSide(side)
    }
  }

  test('what a replica has not got is announced when it takes over', async () => {
    const report = await runPartitions('failover that loses the end', { mayForget: true })
    expectKeptPromise(report)
    expect(report.resets).toBeGreaterThan(0)
  })

  test('what a replica has not got is announced to clients that were away, too', async () => {
    const scenario = { mayForget: true, awayMs: 3000 }
    const report = await runPartitions('failover while clients are away', scenario)
    expectKeptPromise(report)
    expect(report.resets).toBeGreaterThan(0)
  })

  test('nothing acknowledged is lost with a replica to wait for, whatever a partition loses', async () => {
    const logOptions = { waitReplicas: 1, timeoutMs: 2000 }
    const report = await runPartitions('partition', { logOptions, isDurable: true })
    expectKeptPromise(report)
    // Nobody has seen what it loses.
    expect(report.resets).toBe(0)
  })

  test('nothing acknowledged is lost when Sentinel gives up a frozen master', async () => {
    const group = await startSentinel()
    const addresses = group.addresses.map(({ host, port }) => `${host}:${port}`).join(',')
    try {
      const report = await runScenario('Sentinel failover', {
        source: { url: `redis+sentinel://${addresses}/${group.name}` },
        drivers: ['ioredis', 'ioredis'],
        logOptions: { waitReplicas: 1, timeoutMs: 2000 },
        isDurable: true,
        pauseMs: 1500,
        strike: async () => {
          const old = (await group.master()) ?? group.servers[0]
          old?.freeze()
          await until(async () => ![old, undefined].includes(await group.master()), 20_000)
          await delay(Math.random() * 1000)
          old?.thaw()
          await until(async () => {
            // One that is made a replica cuts its connections.
            const states = await Promise.allSettled(
              group.servers.map((it) => it.info('replication')),
            )
            return states.filter(isCopying).length === group.servers.length - 1
          }, 20_000)
        },
      })
      // The master that does not answer, and then is none any more.
      expectKeptPromise(report, 2)
      expect(report.resets).toBe(0)
    } finally {
      await group.stop()
    }
  })

  test('nothing is lost when slots of a cluster move', async () => {
    const cluster = await startCluster()
    const slots = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => cluster.slotOf(`{headwater:${name}}:s`)),
    )
    try {
      const report = await runScenario('slots moved', {
        source: { nodes: cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })) },
        isDurable: true,
        strike: async () => {
          const slot = slots[Math.floor(Math.random() * slots.length)] as number
          const from = await cluster.ownerOf(slot)
          const others = cluster.nodes.filter((node) => node !== from)
          await cluster.moveSlot(slot, others[Math.floor(Math.random() * 2)] as RedisServer)
        },
      })
      expectKeptPromise(report)
      expect(report.resets).toBe(0)
    } finally {
      await cluster.stop()
    }
  })
})
