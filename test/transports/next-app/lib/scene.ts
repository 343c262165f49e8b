import { type EventStream, getEventStreamSingleton, memoryEventLog } from 'headwater'
import { type CountedLog, countFollowers } from '../../../support/wrap-log'
import { type Control, controlOf, logLimits, maxQueueBytes } from '../../control'

// Routes may have modules of their own, and the counts are of the whole process.
const holder = globalThis as { sceneLogs?: Map<string, CountedLog> }

/**
 * The event stream of a scene, made by the first request for it.
 *
 * @param name - What `?scene=` of the request is.
 */
export function sceneOf(name: unknown): {
  readonly eventStream: EventStream
  readonly control: Control
} {
  const key = String(name)
  holder.sceneLogs ??= new Map()
  const counted = holder.sceneLogs.get(key) ?? countFollowers(memoryEventLog(logLimits))
  holder.sceneLogs.set(key, counted)
  const eventStream = getEventStreamSingleton({ log: counted.log, maxQueueBytes }, key)
  return { eventStream, control: controlOf(eventStream, counted) }
}
