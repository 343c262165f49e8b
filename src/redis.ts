export type { LogHealth, RemoteLog } from './log/event-log.js'
export type { RedisClient } from './log/redis/connect.js'
export type { RedisEventLogOptions } from './log/redis/options.js'
export { redisEventLog } from './log/redis/redis-event-log.js'
