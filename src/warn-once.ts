const warned = Symbol.for('headwater.warned')

/** A process warning, once per process: modules of development servers are loaded again and again. */
export function warnOnce(code: string, message: string): void {
  const holder = globalThis as { [warned]?: Set<string> }
  holder[warned] ??= new Set()
  if (holder[warned].has(message)) return
  holder[warned].add(message)
  process.emitWarning(message, { code })
}
