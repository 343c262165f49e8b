import { type EntryId, isEntryId } from './entry-id.js'

/**
 * The longest cursor, in characters. Node refuses request heads above 16 kB and proxies above 8 kB,
 * and browsers never come back from such an answer.
 */
export const maxCursorLength = 4096

/** The longest entry id: 16 digits, a hyphen, 10 digits. */
const maxIdLength = 27

/** A client's position in one channel, or in several. */
export type Cursor = { readonly id: EntryId } | { readonly positions: ReadonlyMap<string, EntryId> }

/** Percent-encodes a channel name down to `[A-Za-z0-9._-]` and `%`. */
export function encodeChannelName(name: string): string {
  return encodeURIComponent(name).replace(
    /[!'()*~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/**
 * Encodes the position in every channel of a connection: the entry id alone for one channel,
 * `a~4-7781*b~19-332` for several. Always visible ASCII that no header or CORS check rejects.
 *
 * @param encodedNames - Channel names as {@link encodeChannelName} gives them.
 */
export function encodeCursor(
  encodedNames: readonly string[],
  idOf: (index: number) => EntryId,
): string {
  if (encodedNames.length === 1) return idOf(0)
  let text = ''
  for (let i = 0; i < encodedNames.length; i++) {
    text += `${i === 0 ? '' : '*'}${encodedNames[i]}~${idOf(i)}`
  }
  return text
}

/** Whether every cursor of these channels is within {@link maxCursorLength}. */
export function cursorFits(encodedNames: readonly string[]): boolean {
  const length = encodedNames.reduce((sum, name) => sum + name.length + maxIdLength + 2, 0)
  return length <= maxCursorLength
}

/**
 * Parses a cursor. It comes from outside: anything that {@link encodeCursor} would not have written
 * is refused as a whole.
 */
export function parseCursor(text: string): Cursor | undefined {
  if (text.length > maxCursorLength) return undefined
  if (isEntryId(text)) return { id: text }
  const positions = new Map<string, EntryId>()
  for (const part of text.split('*')) {
    const [encoded = '', id = '', ...rest] = part.split('~')
    const name = decodeChannelName(encoded)
    if (name === undefined || rest.length > 0 || !isEntryId(id) || positions.has(name)) {
      return undefined
    }
    positions.set(name, id)
  }
  return { positions }
}

/** @returns undefined unless it is as {@link encodeChannelName} writes it. */
export function decodeChannelName(encoded: string): string | undefined {
  if (!/^(?:[A-Za-z0-9._-]|%[0-9A-F]{2})+$/.test(encoded)) return undefined
  let name: string
  try {
    name = decodeURIComponent(encoded)
  } catch {
    return undefined
  }
  return encodeChannelName(name) === encoded ? name : undefined
}
