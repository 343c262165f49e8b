import type { ChannelSource } from './channel-source.js'
import type { RouteOptions } from './route-options.js'

/** Channels of a route, then its options. */
export type RouteArguments<Req> =
  | readonly ChannelSource<Req>[]
  | readonly [...ChannelSource<Req>[], RouteOptions<Req>]

export function splitRoute<Req>(route: RouteArguments<Req>): {
  readonly sources: readonly ChannelSource<Req>[]
  readonly options: RouteOptions<Req>
} {
  const last = route.at(-1)
  if (typeof last !== 'object' || last === null || Array.isArray(last)) {
    return { sources: route as readonly ChannelSource<Req>[], options: {} }
  }
  return {
    sources: route.slice(0, -1) as readonly ChannelSource<Req>[],
    options: last as RouteOptions<Req>,
  }
}
