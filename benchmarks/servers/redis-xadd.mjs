// What it takes ioredis to add an entry to a stream of 1000, which is all that it does.

import { Redis } from 'ioredis'

const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true })

export function publish(channel, data) {
  return redis.xadd(`bare-${channel}`, 'MAXLEN', '~', 1000, '*', 'e', JSON.stringify(data))
}
