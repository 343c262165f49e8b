import { stripVTControlCharacters } from 'node:util'

const opening = '<!-- transports -->'
const closing = '<!-- /transports -->'

/** What a test run has found, as a Markdown table. */
export class ResultTable {
  readonly #rows: readonly string[]
  readonly #columns: readonly string[]
  readonly #cells = new Map<string, string>()

  constructor(rows: readonly string[], columns: readonly string[]) {
    this.#rows = rows
    this.#columns = columns
  }

  /** Runs what decides a cell. What it throws is what is missing. */
  async decide(row: string, column: string, run: () => Promise<void>): Promise<void> {
    try {
      await run()
      this.#set(row, column, '✓')
    } catch (error) {
      this.#set(row, column, oneLine(error))
      throw error
    }
  }

  toString(): string {
    const lines = [
      ['', ...this.#columns],
      ['---', ...this.#columns.map(() => ':-:')],
    ]
    for (const row of this.#rows) {
      const cells = this.#columns.map((column) => this.#cells.get(key(row, column)) ?? 'not tried')
      lines.push([row, ...cells])
    }
    return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
  }

  #set(row: string, column: string, text: string): void {
    this.#cells.set(key(row, column), text)
  }
}

function key(row: string, column: string): string {
  return JSON.stringify([row, column])
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const plain = stripVTControlCharacters(message).replace(/\s+/g, ' ')
  // It would end the cell.
  return plain.replaceAll('|', '\\|').slice(0, 120)
}

/** @returns What stands between the markers of a document; undefined where they are not. */
export function tableIn(markdown: string): string | undefined {
  const start = markdown.indexOf(opening)
  const end = markdown.indexOf(closing)
  if (start === -1 || end < start) return undefined
  return `${markdown.slice(start + opening.length, end).trim()}\n`
}
