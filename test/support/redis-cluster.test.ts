import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Cluster } from 'ioredis'
import { describeWithRedis } from './describe-with-redis.js'
import { type RedisCluster, startCluster } from './redis-cluster.js'
import type { RedisServer } from './redis-server.js'

describeWithRedis('startCluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster({ masters: 3 })
  })

  afterAll(() => cluster?.stop())

  test('each node has a share of the slots', async () => {
    const owners = [0, 8000, 16_383].map((slot) => cluster.ownerOf(slot))
    expect(await Promise.all(owners)).toEqual(cluster.nodes)
    await expect(cluster.nodes[0]?.cli('SET', '{a}1', 1)).rejects.toThrow('MOVED 15495')
    expect(await cluster.slotOf('{a}1')).toBe(15_495)
  })

  test('moves a slot with all its keys while a client writes to it', async () => {
    const slot = await cluster.slotOf('{a}')
    const [from, to] = [await cluster.ownerOf(slot), cluster.nodes[0] as RedisServer]
    for (let n = 0; n < 250; n++) await from.cli('SET', `{a}${n}`, n)
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    try {
      let moved = false
      const move = cluster.moveSlot(slot, to).finally(() => {
        moved = true
      })
      let count = 0
      while (!moved) count = await client.incr('{a}count')
      await move
      expect(count).toBeGreaterThan(1)
      expect(await cluster.ownerOf(slot)).toBe(to)
      expect(await to.cli('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(251)
      expect(await to.cli('GET', '{a}count')).toBe(String(count))
      await expect(from.cli('GET', '{a}0')).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${to.port}`)
    } finally {
      client.disconnect()
    }
  })
})
