import { deepEqual } from 'node:assert/strict'
import { encodeEnding } from '../core/stream-end.js'
import { type StreamLog, sharedToken } from '../log/stream-log.js'

type WithLog = (name: string, body: (log: StreamLog, channel: string) => Promise<void>) => unknown

const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }
const aborted = encodeEnding({ state: 'aborted' })

/** The part of {@link streamLogSuite} that is about streams without a source, which any process appends to. */
export function sharedStreams(withLog: WithLog): void {
  withLog('tells of a stream whether it was claimed with the shared token', async (log, a) => {
    const claim = (name: string, token: string) =>
      log.claim(name, { token, leaseMs: 60_000, limits })
    const told = async (name: string) => {
      const infos = [
        (await claim(name, 'late')).info,
        await log.inspect(name),
        await log.endStream(name, aborted),
        (await claim(name, 'later')).info,
      ]
      return infos.map((info) => info?.isShared)
    }
    await claim(a, 'mine')
    await claim(`${a}-job`, sharedToken)
    deepEqual(await told(a), [false, false, false, false])
    deepEqual(await told(`${a}-job`), [true, true, true, true])
  })
}
