import type { AnyChannels } from './core/typed-channels.js'
import { EventStream } from './event-stream.js'
import { forAllCopies } from './memory-use.js'
import type { EventStreamOptions } from './options.js'

interface Singleton {
  readonly eventStream: EventStream
  readonly fingerprint: string
}

const registry = Symbol.for('headwater.singletons')

/**
 * The event stream of this process under a key, made by the first call. It survives the module
 * reloads of development servers, where a module-level `new EventStream()` would be another one each
 * time, with nobody listening.
 *
 * @param options - For the call that makes it. A later call with other options gets the existing one
 *   and a process warning: restart, or use another key.
 */
export function getEventStreamSingleton<Channels extends object = AnyChannels>(
  options?: EventStreamOptions<Channels> | null,
  key = 'eventStream',
): EventStream<Channels> {
  const holder = globalThis as { [registry]?: Map<string, Singleton> }
  holder[registry] ??= new Map()
  const fingerprint = fingerprintOf(options)
  let singleton = holder[registry].get(key)
  if (singleton === undefined) {
    singleton = { eventStream: forAllCopies(() => new EventStream(options)), fingerprint }
    holder[registry].set(key, singleton)
  } else if (options != null && fingerprint !== singleton.fingerprint) {
    process.emitWarning(
      `The event stream '${key}' exists with other options, which stay in force; restart the process, or use another key.`,
      { code: 'HEADWATER_SINGLETON' },
    )
  }
  return singleton.eventStream
}

/** What a reload does not change: functions and objects are new ones each time. */
function fingerprintOf(options: EventStreamOptions | null | undefined): string {
  const entries = Object.entries(options ?? {}).map(([name, value]) => {
    const plain = ['string', 'number', 'boolean'].includes(typeof value)
    return [name, plain ? value : typeof value]
  })
  return JSON.stringify(entries.filter(([, value]) => value !== 'undefined').sort())
}
