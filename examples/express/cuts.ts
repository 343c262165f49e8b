import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import type { EventLog, EventStream, OpenStream, StoredEvent } from 'headwater'

/** Cuts connections, whichever process has them. */
export interface Cuts {
  /** A stream has opened, which may be cut. */
  opened(stream: OpenStream, socket: Socket): void
  /**
   * Resets the connections of those who listen to a channel.
   *
   * @returns Whether there were any, once they are gone.
   */
  cut(channel: string): Promise<boolean>
}

/** What processes tell one another: to cut, or that it is done. */
const requests = 'cuts'
const patienceMs = 2000

/**
 * A process asks all, itself included, over a channel of the log, and the one that has the
 * connection answers there. A request that is lost is one that the visitor repeats, so nothing here
 * reads the log.
 */
export async function createCuts(log: EventLog, eventStream: EventStream): Promise<Cuts> {
  const sockets = new WeakMap<OpenStream, Socket>()
  const answers = new EventEmitter()

  async function cutOwn(id: string, channel: string): Promise<void> {
    const streams = eventStream.connections().filter(({ channels }) => channels.includes(channel))
    if (streams.length === 0) return
    for (const stream of streams) sockets.get(stream)?.resetAndDestroy()
    await Promise.all(streams.map(({ signal }) => once(signal, 'abort')))
    await log.append(requests, [{ event: 'gone', data: id }])
  }

  function receive({ event, data }: StoredEvent): void {
    if (event === 'gone') {
      answers.emit(data)
      return
    }
    const { id, channel } = JSON.parse(data)
    cutOwn(id, channel).catch(console.error)
  }

  await log.follow(requests, {
    append: (entries) => entries.forEach(receive),
    suspect: () => undefined,
  })

  return {
    opened: (stream, socket) => sockets.set(stream, socket),
    async cut(channel) {
      const id = randomUUID()
      const patience = AbortSignal.timeout(patienceMs)
      const isGone = once(answers, id, { signal: patience }).then(
        () => true,
        () => false,
      )
      await log.append(requests, [{ event: 'cut', data: JSON.stringify({ id, channel }) }])
      return isGone
    },
  }
}
