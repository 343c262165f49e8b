/** Places in channels that are remembered: more than a log keeps by default. */
const maxPlaces = 2000

/**
 * The places in channels that a source has been at: `a~4-7781` and `b~19-332` of `a~4-7781*b~19-332`. Ids of
 * entries never repeat, so an event whose cursor has no new place in it has been there before, in whichever
 * order it came.
 */
export interface History {
  /** @returns Whether there was no new place in this cursor. */
  visit(cursor: string): boolean
  has(cursor: string): boolean
}

export function emptyHistory(): History {
  const visited = new Set<string>()
  return {
    visit(cursor) {
      const isKnown = this.has(cursor)
      for (const place of cursor.split('*')) {
        // What is used stays longest.
        visited.delete(place)
        visited.add(place)
        const [oldest] = visited
        if (visited.size > maxPlaces) visited.delete(oldest as string)
      }
      return isKnown
    },
    has(cursor) {
      return /\d-\d+$/.test(cursor) && cursor.split('*').every((place) => visited.has(place))
    },
  }
}
