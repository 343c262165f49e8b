import { anEventStream, Parts } from '../core/parts.js'
import type { EventStream } from '../event-stream.js'
import type { Connection } from '../hub/connection.js'
import type { RegistryCounts } from '../log/registry-store.js'
import type { Observer } from './observer.js'

/** What is shown of an event stream, beyond what its users may ask it for. */
export interface Observed {
  readonly observer: Observer
  onError(error: unknown): void
  connections(): Iterable<Connection>
  /** How the streams of all processes stand; undefined when nothing keeps a registry of them. */
  streamCounts(): Promise<RegistryCounts | undefined>
}

export const observed = new Parts<EventStream, Observed>(anEventStream)
