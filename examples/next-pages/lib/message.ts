/** What a visitor has said. */
export interface Message {
  readonly name: string
  readonly text: string
  /** Milliseconds since 1970, of the server's clock. */
  readonly at: number
}

export const maxNameLength = 40
export const maxTextLength = 1000

/** Whether a room or an answer may have this name, which is part of addresses and of the channel's name. */
export function isId(id: unknown): id is string {
  return typeof id === 'string' && /^[A-Za-z0-9-]{1,40}$/.test(id)
}
