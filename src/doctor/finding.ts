/** `warning`: may be meant, or hurt later. `problem`: clients lose or wait for something now. */
export type Level = 'ok' | 'warning' | 'problem'

/** What a check has found out. */
export interface Finding {
  /** Which check, for programs: `buffering`. */
  readonly check: string
  readonly level: Level
  /** What was seen, in one sentence. */
  readonly what: string
  /** What to do about it. Of all that is not ok. */
  readonly fix?: string
}

export function ok(check: string, what: string): Finding {
  return { check, level: 'ok', what }
}

export function warning(check: string, what: string, fix: string): Finding {
  return { check, level: 'warning', what, fix }
}

export function problem(check: string, what: string, fix: string): Finding {
  return { check, level: 'problem', what, fix }
}

/** @returns `12 ms`, `1.3 s` or `40 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  return `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0))} s`
}

/** Text of the server's as it may stand in a sentence: quoted, printable ASCII, at most 80 characters. */
export function quoted(text: string): string {
  // A terminal takes some characters that headers may have for commands.
  const printable = text.replace(/[^\x20-\x7e…]/g, '?')
  return printable.length > 80 ? `"${printable.slice(0, 79)}…"` : `"${printable}"`
}
