import { getEventStreamSingleton } from 'headwater'
import { postgresEventLog } from 'headwater/postgres'
import { createResumableStreamContext } from 'headwater/resumable'

// Made when the module is evaluated, which `next build` does as well.
export const overRedis = getEventStreamSingleton({ redis: process.env.REDIS_URL }, 'redis')
export const overPostgres = getEventStreamSingleton(
  { log: postgresEventLog({ pool: process.env.POSTGRES_URL }) },
  'postgres',
)
export const context = createResumableStreamContext({ waitUntil: null })
