import { EventStream, memoryEventLog } from '../../src/index.js'
import { countFollowers } from '../support/wrap-log.js'
import { controlOf, logLimits, maxQueueBytes } from './control.js'
import { type Routes, routes, type Scene, type Transport } from './transport.js'

interface Served extends Pick<Scene, 'request'> {
  /** Stops listening and cuts every connection. */
  close(): Promise<void>
}

interface InProcessTransport {
  readonly name: string
  /**
   * Serves the routes to every method, behind something that sets `earlierHeader`, which an
   * application would do for all of its routes.
   */
  serve(eventStream: EventStream, routes: Routes): Promise<Served>
}

/** A transport whose event stream is in the process of the tests. */
export function inProcess({ name, serve }: InProcessTransport): Transport {
  return {
    name,
    async openScene() {
      const counted = countFollowers(memoryEventLog(logLimits))
      const eventStream = new EventStream({ log: counted.log, maxQueueBytes })
      const { request, close } = await serve(eventStream, routes)
      const control = controlOf(eventStream, counted)
      return {
        ...control,
        request,
        async close() {
          await control.close()
          await close()
        },
      }
    },
  }
}
