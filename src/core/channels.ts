import { EventStreamError, quote } from './errors.js'

const maxBytes = 255
const plain = /^[\x20-\x7e]{1,255}$/
const control = /\p{Cc}/u
const token = /\{([_A-Za-z][_A-Za-z0-9]*)\}/g

/**
 * Checks a channel name: 1–255 bytes of UTF-8 without control characters.
 *
 * @returns The name.
 * @throws EventStreamError `ERR_CHANNEL`.
 */
export function checkChannel(name: unknown): string {
  if (typeof name === 'string') {
    if (plain.test(name)) return name
    if (name.isWellFormed() && !control.test(name)) {
      const { length } = new TextEncoder().encode(name)
      if (length > 0 && length <= maxBytes) return name
    }
  }
  throw new EventStreamError(
    'ERR_CHANNEL',
    `${quote(name)} is no channel name; give 1 to ${maxBytes} bytes of text without control characters.`,
  )
}

/** Makes a channel name of a request's values. */
export type ChannelTemplate = (values: Readonly<Record<string, unknown>>) => string

/**
 * Compiles `'room-{id}'`. A name without `{token}` is checked here, the others when they are filled.
 *
 * @returns A function from the values of one request to the channel name. It throws
 *   EventStreamError `ERR_CHANNEL` when a value is missing, empty, not a string, or makes a name
 *   that is none: `room-` would be a channel that strangers share.
 */
export function compileTemplate(template: string): ChannelTemplate {
  if (template.search(token) === -1) {
    const name = checkChannel(template)
    return () => name
  }
  return (values) =>
    checkChannel(
      template.replace(token, (_match, key: string) => {
        const value = Object.hasOwn(values, key) ? values[key] : undefined
        if (typeof value === 'string' && value !== '') return value
        throw new EventStreamError(
          'ERR_CHANNEL',
          `The channel '${template}' needs one value for {${key}}, and the request has ${quote(value)}.`,
        )
      }),
    )
}
