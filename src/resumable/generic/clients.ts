/** What writes to the store: a client of `redis`, or anything that has its way of being called. */
export interface Publisher {
  connect(): Promise<unknown>
  /** @returns How many got it, where the client knows. */
  publish(channel: string, message: string): Promise<unknown>
  /** @param options - `EX`: seconds after which the key is gone. */
  set(key: string, value: string, options?: { readonly EX?: number }): Promise<unknown>
  get(key: string): Promise<unknown>
  incr(key: string): Promise<unknown>
}

/** What gets messages. Not the client that publishes: Redis takes no other commands on its connection. */
export interface Subscriber {
  connect(): Promise<unknown>
  subscribe(channel: string, callback: (message: string) => void): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
}

/** What is used of a client of `ioredis`. */
export interface IoredisClient {
  readonly status: string
  connect(): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  set(key: string, value: string): Promise<unknown>
  set(key: string, value: string, unit: 'EX', seconds: number): Promise<unknown>
  get(key: string): Promise<unknown>
  incr(key: string): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
  disconnect(): void
}

/** What some clients can tell and do beyond the commands. */
interface Connection {
  readonly isOpen?: unknown
  close?(): unknown
}

function isIoredis(client: object): client is IoredisClient {
  const { status, defineCommand } = client as Record<string, unknown>
  return typeof status === 'string' && typeof defineCommand === 'function'
}

/** A client of `ioredis`, called as one of `redis` is. */
export function fromIoredis(client: IoredisClient): Publisher & Subscriber {
  const callbacks = new Map<string, (message: string) => void>()
  const onMessage = (channel: string, message: string) => callbacks.get(channel)?.(message)
  const adapter: Publisher & Subscriber & Connection = {
    // It connects by itself, unless it was told to be lazy.
    get isOpen() {
      return client.status !== 'wait' && client.status !== 'end'
    },
    connect: () => client.connect(),
    close: () => client.disconnect(),
    publish: (channel, message) => client.publish(channel, message),
    set: (key, value, { EX } = {}) =>
      EX === undefined ? client.set(key, value) : client.set(key, value, 'EX', EX),
    get: (key) => client.get(key),
    incr: (key) => client.incr(key),
    subscribe: (channel, callback) => {
      if (callbacks.size === 0) client.on('message', onMessage)
      callbacks.set(channel, callback)
      return client.subscribe(channel)
    },
    unsubscribe: (channel) => {
      callbacks.delete(channel)
      if (callbacks.size === 0) client.off('message', onMessage)
      return client.unsubscribe(channel)
    },
  }
  return adapter
}

/**
 * What a client's `keyPrefix` and database add to the names of pub/sub channels, so that what is apart by its keys is
 * so by its messages: all databases share them, and clients leave the prefix out.
 */
export function topicPrefix(client: object): string {
  const { keyPrefix, db, database = db } = Object((client as { options?: unknown }).options)
  return `${keyPrefix ?? ''}${Number(database) > 0 ? `db${database}:` : ''}`
}

/** A client, called as one of `redis` is, whichever it is. */
export function adapted<Client extends Publisher | Subscriber>(
  client: Client | IoredisClient,
): Client {
  return isIoredis(client) ? (fromIoredis(client) as Publisher & Subscriber & Client) : client
}

/**
 * Connects a client unless it is connected.
 *
 * @returns Ends the connection, if it was made here and the client can end it.
 */
export async function connected(
  client: (Publisher | Subscriber) & Connection,
): Promise<() => Promise<void>> {
  const leave = async () => undefined
  const { isOpen } = client
  if (isOpen === true) return leave
  if (isOpen !== false) {
    // Most clients refuse to connect twice, and this one does not tell: if it is away, its commands say so.
    await client.connect().catch(() => undefined)
    return leave
  }
  await client.connect()
  return async () => {
    await client.close?.()
  }
}
