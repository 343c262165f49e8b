import { createClient } from 'redis'
import type { Publisher, Subscriber } from '../../../src/resumable/generic/clients.js'

export interface PlainClients {
  readonly publisher: Publisher
  readonly subscriber: Subscriber
  close(): Promise<void>
}

/** Two plain objects through which nothing of their clients can be reached but the few commands. */
export async function plainClients(url: string): Promise<PlainClients> {
  const clients = [createClient({ url }), createClient({ url })] as const
  for (const client of clients) {
    // Commands that fail tell the same.
    client.on('error', () => undefined)
    await client.connect()
  }
  const [commands, messages] = clients
  return {
    publisher: {
      connect: () => commands.connect(),
      publish: async (channel, message) => void (await commands.publish(channel, message)),
      set: (key, value, options = {}) => commands.set(key, value, options),
      get: (key) => commands.get(key),
      incr: (key) => commands.incr(key),
    },
    subscriber: {
      connect: () => messages.connect(),
      subscribe: (channel, callback) => messages.subscribe(channel, callback),
      unsubscribe: (channel) => messages.unsubscribe(channel),
    },
    close: async () => {
      for (const client of clients) client.destroy()
    },
  }
}
