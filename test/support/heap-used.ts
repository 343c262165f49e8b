import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Rounds without a change, after which nothing is left of what was before, such as an earlier file of the same worker. */
const quietRounds = 5

/** Bytes of the heap in use, once all is gone that was left by what was before: that may take some turns. */
export async function heapUsed(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let quiet = 0; quiet < quietRounds; quiet++) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
    const { heapUsed: now } = process.memoryUsage()
    if (now < least - 10_000) {
      least = now
      quiet = 0
    }
  }
  return process.memoryUsage().heapUsed
}
