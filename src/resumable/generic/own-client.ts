import { EventStreamError } from '../../core/errors.js'
import { isNoDatabase, noDatabase } from '../../core/redis-database.js'
import { loadIoredis, loadNodeRedis } from '../../log/redis/packages.js'
import { fromIoredis, type IoredisClient, type Publisher, type Subscriber } from './clients.js'

type Client = Publisher & Subscriber & { close(): Promise<void> }

/** A client for a URL, of whichever package is there, made when it is first used. */
export function ownClient(url: string): Client {
  let made: Promise<Publisher & Subscriber & { close?(): unknown }> | undefined
  const client = () => {
    made ??= makeClient(url)
    // The next use tries again.
    made.catch(() => {
      made = undefined
    })
    return made
  }
  let isOpen = false
  const own: Client & { readonly isOpen: boolean } = {
    get isOpen() {
      return isOpen
    },
    connect: async () => {
      await (await client()).connect()
      isOpen = true
    },
    close: async () => {
      isOpen = false
      await (await made)?.close?.()
    },
    publish: async (channel, message) => (await client()).publish(channel, message),
    set: async (key, value, options) => (await client()).set(key, value, options),
    get: async (key) => (await client()).get(key),
    incr: async (key) => (await client()).incr(key),
    subscribe: async (channel, callback) => (await client()).subscribe(channel, callback),
    unsubscribe: async (channel) => (await client()).unsubscribe(channel),
  }
  return own
}

/** Ends a client that Redis has no database for: it would go on in another one, or try for ever. */
function whereItIs<Client extends Publisher & Subscriber>(
  client: Client,
  events: { on(event: 'error', listener: (error: Error) => void): unknown },
  end: () => void,
): Client {
  const refused = new Promise<never>((_resolve, reject) => {
    // Commands tell what else is wrong; without a listener it would be printed.
    events.on('error', (error) => {
      if (!isNoDatabase(error)) return
      reject(noDatabase(undefined, error))
      end()
    })
  })
  refused.catch(() => undefined)
  const connect = client.connect.bind(client)
  client.connect = () => Promise.race([refused, connect()])
  return client
}

async function makeClient(url: string): Promise<Publisher & Subscriber> {
  const ioredis = await loadIoredis()
  if (ioredis !== undefined) {
    const client = new ioredis.Redis(url, { lazyConnect: true })
    return whereItIs(fromIoredis(client as unknown as IoredisClient), client, () =>
      client.disconnect(),
    )
  }
  const redis = await loadNodeRedis()
  if (redis !== undefined) {
    const client = redis.createClient({ url })
    const made = client as unknown as Publisher & Subscriber
    return whereItIs(made, client, () => client.isOpen && client.destroy())
  }
  throw new EventStreamError(
    'ERR_OPTION',
    'Resumable streams need a package to talk to Redis, and neither ioredis nor redis is installed; run: npm install ioredis',
  )
}
