import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of the heap in use, once all is gone that was left by what was before: that may take some turns. */
export async function heapUsed(): Promise<number> {
  for (let last = Number.POSITIVE_INFINITY; ; ) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
    const { heapUsed: now } = process.memoryUsage()
    if (now > last - 10_000) return now
    last = now
  }
}
