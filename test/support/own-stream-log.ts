import { memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { countedFollow } from './wrap-log.js'

/** A memory log that keeps streams, with some methods of its own, which counts who follows. */
export function ownStreamLog(own: (inner: StreamLog) => Partial<StreamLog> = () => ({})) {
  const inner = memoryEventLog()
  const { follow, counts } = countedFollow(inner)
  const methods: Partial<StreamLog> = { follow, ...own(inner) }
  const log = new Proxy(inner, {
    get: (target, name) => {
      const method = Reflect.get(methods, name) ?? Reflect.get(target, name)
      return typeof method === 'function' ? method.bind(target) : method
    },
  })
  return { log, counts }
}
