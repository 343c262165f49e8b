import { EventStreamError, quote } from '../core/errors.js'
import { checkNames, checkWhole } from '../core/options.js'

/** Options of the registry: of who streams what, and how it ended. */
export interface RegistryOptions {
  /**
   * Milliseconds between two signs of life of whatever this process tracks, all of it together.
   * @defaultValue 15_000
   */
  readonly heartbeatMs?: number | undefined
  /**
   * Milliseconds that a record is kept after its end, or after its last sign of life. For as long again it is
   * known to have `expired`.
   * @defaultValue 3_600_000
   */
  readonly lifetimeMs?: number | undefined
  /**
   * Milliseconds after its last sign of life at which a registered stream is `orphaned` for whoever looks at it, if
   * no guardian has decided before. A guardian needs the silence after which it asks, its interval, and the
   * time of its question.
   * @defaultValue 120_000
   */
  readonly orphanAfterMs?: number | undefined
}

export interface ResolvedRegistryOptions {
  readonly heartbeatMs: number
  readonly lifetimeMs: number
  readonly orphanAfterMs: number
}

/** Milliseconds that the end of a registered stream is kept at least, with its events. */
export const minCompletionMs = 300_000

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolveRegistryOptions(options: RegistryOptions = {}): ResolvedRegistryOptions {
  checkNames('registry', options, ['heartbeatMs', 'lifetimeMs', 'orphanAfterMs'])
  const { heartbeatMs = 15_000, lifetimeMs = 3_600_000, orphanAfterMs = 120_000 } = options
  const numbers = { heartbeatMs, lifetimeMs, orphanAfterMs }
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 100, 2 ** 31 - 1)
  for (const [name, value] of Object.entries({ lifetimeMs, orphanAfterMs })) {
    if (value >= 2 * heartbeatMs) continue
    throw new EventStreamError(
      'ERR_OPTION',
      `registry.${name} is ${quote(value)}; give twice heartbeatMs (${heartbeatMs}) or more, or what lives is taken for dead.`,
    )
  }
  return numbers
}
