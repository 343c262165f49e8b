/** Text between which, in this order, anything may stand: what is before the first, and behind the last, counts too. */
export type TextPattern = readonly [string, ...string[]]

/**
 * What `room-{id}` stands for: `['room-', '']`.
 *
 * @returns undefined for a name without `{token}`.
 */
export function patternOf(template: string): TextPattern | undefined {
  const parts = template.split(/\{[^{}]*\}/) as [string, ...string[]]
  return parts.length === 1 ? undefined : parts
}

/** Whether a text is one that the pattern stands for. Each part is looked for once: behind the one before it. */
export function fits(pattern: TextPattern, text: string): boolean {
  const [first, ...others] = pattern
  const last = others.pop() ?? ''
  const end = text.length - last.length
  let at = first.length
  if (at > end || !text.startsWith(first) || !text.endsWith(last)) return false
  for (const part of others) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return at <= end
}
