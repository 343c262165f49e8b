// What a message through Redis costs without a log: `redis-subscriber.mjs <url>` listens to channel 0.

import { Redis } from 'ioredis'
import { answer, countEvent, counted, nowUs, takeCommands, totals } from './client-counts.mjs'

const redis = new Redis(process.argv[2])
redis.on('message', (_channel, text) => {
  const now = nowUs()
  totals.bytes += text.length
  countEvent(now - Number(/@(\d{16})/.exec(text)[1]))
  counted()
})
await redis.subscribe('0')
takeCommands(() => undefined)
answer()
