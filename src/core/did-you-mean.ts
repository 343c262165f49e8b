/** Longer names are no slips of the pen. */
const maxLength = 40

/**
 * Finds the name that was meant.
 *
 * @returns The known name with the fewest letters to change, swap, add or leave out: at most two, and less than
 *   half of them. undefined where there is none.
 */
export function didYouMean(name: string, known: readonly string[]): string | undefined {
  if (name.length > maxLength) return undefined
  let best: string | undefined
  let least = Math.min(2, Math.floor(name.length / 2)) + 1
  for (const candidate of known) {
    const changes = changesBetween(name.toLowerCase(), candidate.toLowerCase())
    if (changes >= least) continue
    least = changes
    best = candidate
  }
  return best
}

/** How many letters are changed, swapped with the next one, added or left out. */
function changesBetween(from: string, to: string): number {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1]
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      next[j] = Math.min(
        at(row, j) + 1,
        at(next, j - 1) + 1,
        at(row, j - 1) + Number(!isSame),
        isSwap ? at(before, j - 2) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    before = row
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] as number
}
