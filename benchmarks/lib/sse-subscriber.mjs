// One client that also looks at the order: `sse-subscriber.mjs <url>`. It understands HTTP, which proxies
// may cut anywhere.

import { get } from 'node:http'
import { createInterface } from 'node:readline'
import { answer, countEvent, counted, nowUs, takeCommands, totals } from './client-counts.mjs'

/** `disordered`: what came behind a later event. `lastUs`: when the last one came. */
Object.assign(totals, { disordered: 0, lastUs: 0 })
let latestUs = 0

get(process.argv[2], { headers: { Accept: 'text/event-stream' } }, (res) => {
  if (res.statusCode !== 200) throw new Error(`Answered with ${res.statusCode}.`)
  createInterface({ input: res }).on('line', (line) => {
    const [, digits] = /^data:.*@(\d{16})/.exec(line) ?? []
    if (digits === undefined) return
    const atUs = Number(digits)
    totals.disordered += atUs < latestUs ? 1 : 0
    totals.lastUs = nowUs()
    latestUs = Math.max(latestUs, atUs)
    countEvent(totals.lastUs - atUs)
    counted()
  })
  takeCommands(() => undefined)
  answer()
})
