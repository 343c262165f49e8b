import { maxCursorLength } from '../core/cursor.js'

/** Places in channels that are remembered: more than a log keeps by default. */
const maxPlaces = 2000

/**
 * The places in channels that a source has been at. Ids of entries never repeat, so an event whose
 * cursor has no new place in it has been there before, in whichever order it came.
 */
export class History {
  readonly #places = new Set<string>()

  /** @returns Whether there was no new place in this cursor. */
  visit(cursor: string): boolean {
    const isKnown = this.has(cursor)
    for (const place of placesOf(cursor)) {
      // What is used stays longest.
      this.#places.delete(place)
      this.#places.add(place)
    }
    for (const place of this.#places) {
      if (this.#places.size <= maxPlaces) break
      this.#places.delete(place)
    }
    return isKnown
  }

  has(cursor: string): boolean {
    const places = placesOf(cursor)
    return places.length > 0 && places.every((place) => this.#places.has(place))
  }

  clear(): void {
    this.#places.clear()
  }
}

/** Whether what was kept elsewhere may be sent: what any header can hold. */
export function isSendable(position: unknown): position is string {
  return isShort(String(position)) && /^[ -~]*$/.test(String(position))
}

export function isShort(position: string): boolean {
  return position.length <= maxCursorLength
}

/** `a~4-7781` and `b~19-332` of a cursor of several channels: what the core's parser would take apart, in less code. */
function placesOf(cursor: string): string[] {
  return cursor.split('*').filter((place) => /^(.+~)?\d+-\d+$/.test(place))
}
