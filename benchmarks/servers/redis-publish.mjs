// What it takes ioredis to send a message, which nobody keeps.

import { Redis } from 'ioredis'

const redis = new Redis(process.env.REDIS_URL)

export function publish(channel, data) {
  return redis.publish(String(channel), JSON.stringify(data))
}
