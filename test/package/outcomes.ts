import { expect } from '@jest/globals'

/** What `bundled/uses.mjs` tells, by which packages there are. */
const needsNone = { memory: 'memory', proxy: '/publish/' }

export const overRedis = { redis: 'redis', redisContext: 'hello', volatileContext: 'hello' }

export const withAll = {
  ...needsNone,
  ...overRedis,
  postgres: 'postgres',
  postgresContext: 'hello',
  prometheus: 'metrics',
}

const noRedis = expect.stringMatching(/neither ioredis nor redis is installed/)
const noPostgres = expect.stringMatching(/pg is not installed; run: npm install pg$/)

export const withoutPostgres = { postgres: noPostgres, postgresContext: noPostgres }

export const withNone = {
  ...needsNone,
  ...withoutPostgres,
  redis: noRedis,
  redisContext: noRedis,
  volatileContext: noRedis,
  prometheus: 500,
}
