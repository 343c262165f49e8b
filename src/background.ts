import { AsyncResource } from 'node:async_hooks'

/** The context of no request. */
const background = emptied(new AsyncResource('headwater'))

/**
 * Runs what is of no request: timers, connections, subscriptions, polls. Whoever happens to be the first to need it
 * would else be taken for its owner for ever: by loggers, traces, and the garbage collector.
 */
export function inBackground<Result>(run: () => Result): Result {
  return background.runInAsyncScope(run)
}

/**
 * Has all that an object does from here on happen in the background, whoever calls it. What it is given to call is called
 * there too.
 */
export function keepInBackground<Target extends object>(target: Target): Target {
  for (let at: object = target; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      const isOverridden = at !== target && Object.hasOwn(target, name)
      if (typeof value !== 'function' || name === 'constructor' || isOverridden) continue
      const method = (...args: unknown[]) => background.runInAsyncScope(value, target, ...args)
      Object.defineProperty(target, name, { value: method, writable: true, configurable: true })
    }
  }
  return target
}

/**
 * A module may be loaded within a request, as Next.js does, and a resource keeps what it was made within. There is no other
 * way to have none: Node 20 and 22 keep the stores of a resource by the one symbol, Node 24 by the other.
 */
function emptied(resource: AsyncResource): AsyncResource {
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    const isOfStores = /^(?:kResourceStore|context_frame)$/.test(symbol.description ?? '')
    if (isOfStores) Reflect.set(resource, symbol, undefined)
  }
  return resource
}
