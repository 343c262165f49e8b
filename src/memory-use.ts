import cluster from 'node:cluster'
import { warnOnce } from './warn-once.js'

/** Why clients may miss events that are kept in memory: the code of a process warning. */
export type MemoryWarning = 'HEADWATER_MEMORY_COPIES' | 'HEADWATER_MEMORY_PROCESSES'

/** An event stream that keeps its events in memory. */
export interface MemoryUse {
  warning(): MemoryWarning | undefined
  end(): void
}

/**
 * How many event streams each copy of this package has in memory. Copies may be of different versions, so nothing else
 * is ever put here.
 */
const registry = Symbol.for('headwater.memoryUse')
const thisCopy = Symbol('a copy of headwater')
let isForAllCopies = false

/** @param make - Makes an event stream that all copies get, whichever of them asks. */
export function forAllCopies<Result>(make: () => Result): Result {
  isForAllCopies = true
  try {
    return make()
  } finally {
    isForAllCopies = false
  }
}

/** Warns, once per process, where others publish events that are not in this memory. */
export function watchMemory(): MemoryUse {
  const holder = globalThis as { [registry]?: Map<symbol, number> }
  holder[registry] ??= new Map()
  const uses = holder[registry]
  const count = (added: number) => {
    const sum = (uses.get(thisCopy) ?? 0) + added
    if (sum > 0) uses.set(thisCopy, sum)
    else uses.delete(thisCopy)
  }
  const counts = !isForAllCopies
  if (counts) count(1)
  let isOpen = true
  const warning = () => {
    if (isOneProcessOfSeveral()) return 'HEADWATER_MEMORY_PROCESSES'
    return counts && isOpen && uses.size > 1 ? 'HEADWATER_MEMORY_COPIES' : undefined
  }
  const code = warning()
  if (code !== undefined) warnOnce(code, messages[code])
  return {
    warning,
    end() {
      if (counts && isOpen) count(-1)
      isOpen = false
    },
  }
}

const messages: Readonly<Record<MemoryWarning, string>> = {
  HEADWATER_MEMORY_COPIES:
    'Two copies of headwater in this process keep events in memory, each its own: clients of one copy do not get the events ' +
    'of the other. Bundles of one application, and modules that are loaded anew, have copies. Use getEventStreamSingleton(), ' +
    'which all copies share, or give redis or another log.',
  HEADWATER_MEMORY_PROCESSES:
    'Events are kept in the memory of this process, which is one of several (a worker of node:cluster, or an instance of PM2): ' +
    'clients of the other processes do not get them. Give redis or another log, such as redis: process.env.REDIS_URL.',
}

/** PM2 numbers processes from 0, also a single one, and says how many there are. */
function isOneProcessOfSeveral(): boolean {
  const { NODE_APP_INSTANCE, instances } = process.env
  if (NODE_APP_INSTANCE === undefined) return cluster.isWorker
  return (
    Number(NODE_APP_INSTANCE) > 0 ||
    (cluster.isWorker && instances !== '1') ||
    Number(instances) > 1
  )
}
