/** The `seq` of an entry id. */
export function seqOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/**
 * Reads a cursor, by other means than the library itself.
 *
 * @param channels - Those of the stream. Their names need no encoding.
 * @throws Error when it does not name each of them once.
 */
export function readCursor(text: string, channels: readonly string[]): Map<string, string> {
  const [only] = channels
  if (channels.length === 1) return new Map([[only as string, checkId(text)]])
  const positions = new Map<string, string>()
  for (const part of text.split('*')) {
    const [name = '', id = ''] = part.split('~')
    positions.set(name, checkId(id))
  }
  if (positions.size !== channels.length || !channels.every((name) => positions.has(name))) {
    throw new Error(`The cursor ${text} is not one of ${channels.join(', ')}.`)
  }
  return positions
}

function checkId(id: string): string {
  if (/^\d+-\d+$/.test(id)) return id
  throw new Error(`${id} is no entry id.`)
}
