import { type EventStream, getEventStreamSingleton, memoryEventLog } from 'headwater'
import type { NextApiRequest } from 'next'
import { type CountedLog, countFollowers } from '../../../support/wrap-log'
import { type Control, controlOf, logLimits, maxQueueBytes } from '../../control'

// API routes may have modules of their own, and the counts are of the whole process.
const holder = globalThis as { sceneLogs?: Map<string, CountedLog> }

/** The event stream of the scene that `?scene=` of a request names, made by the first one. */
export function sceneOf({ query }: NextApiRequest): {
  readonly eventStream: EventStream
  readonly control: Control
} {
  const key = String(query.scene)
  holder.sceneLogs ??= new Map()
  const counted = holder.sceneLogs.get(key) ?? countFollowers(memoryEventLog(logLimits))
  holder.sceneLogs.set(key, counted)
  const eventStream = getEventStreamSingleton({ log: counted.log, maxQueueBytes }, key)
  return { eventStream, control: controlOf(eventStream, counted) }
}
