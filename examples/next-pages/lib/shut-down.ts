import { eventStream } from './event-stream'

/** `next start` waits for open responses when it is told to end, and a stream never ends by itself. */
export function endStreamsOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => eventStream.close())
}
