import { EventStreamError, quote } from './errors.js'
import type { ChannelValues, NamesOf } from './typed-channels.js'

const maxBytes = 255
const plain = /^[\x20-\x7e]{1,255}$/
const control = /\p{Cc}/u
const token = /\{([_A-Za-z][_A-Za-z0-9]*)\}/g

/**
 * Where a value is missing in a name: `${…`, `{id}`, and `:id` behind a separator. Of the last only what names an id, as
 * `user:john_:inbox` is no mistake.
 */
const unfilled = /\$\{|\{[_A-Za-z][_A-Za-z0-9]*\}|(?<=[-_./]):(?:id|\w+_id|\w*[a-z]I[dD])(?!\w)/

/** In a template, tokens and what others write for them. */
const tokenLike = /\$?\{[^{}]*\}?|\}|(?<=^|[-_./\s]):[_A-Za-z]\w*/g

/**
 * Checks a channel name: 1–255 bytes of UTF-8 without control characters, in which no value is left to be filled in.
 *
 * @returns The name.
 * @throws EventStreamError `ERR_CHANNEL`.
 */
export function checkChannel(name: unknown): string {
  if (!isText(name)) {
    throw new EventStreamError(
      'ERR_CHANNEL',
      `${quote(name)} is no channel name; give 1 to ${maxBytes} bytes of text without control characters.`,
    )
  }
  const [missing] = unfilled.exec(name) ?? []
  if (missing === undefined) return name
  throw new EventStreamError(
    'ERR_CHANNEL',
    `${quote(name)} is no channel name: fill in ${quote(missing)}, as in \`room-\${id}\` with backticks, or by ` +
      'channelName. Only channels of routes and keys of schemas are templates.',
  )
}

/** Whether {@link checkChannel} takes it. */
export function isChannel(name: string): boolean {
  return isText(name) && !unfilled.test(name)
}

function isText(name: unknown): name is string {
  if (typeof name !== 'string') return false
  if (plain.test(name)) return true
  // No character has less than a byte.
  if (name.length > maxBytes || !name.isWellFormed() || control.test(name)) return false
  const { length } = new TextEncoder().encode(name)
  return length > 0 && length <= maxBytes
}

/** Makes a channel name of a request's values. */
export type ChannelTemplate = (values: Readonly<Record<string, unknown>>) => string

/**
 * Checks `'room-{id}'`.
 *
 * @throws EventStreamError `ERR_CHANNEL` when no value can make it a name, or where it has `:id`, `${id}` or braces that
 *   are no token: it would be one channel for all.
 */
export function checkTemplate(template: string): void {
  for (const [found] of template.matchAll(tokenLike)) {
    if (found.replace(token, '') === '') continue
    const fix = found.startsWith(':')
      ? `give {${found.slice(1)}} for a value of the request`
      : found.startsWith('$')
        ? 'leave out the "$", or put the name in backticks'
        : 'a token has letters, digits and "_", such as {id}'
    throw new EventStreamError(
      'ERR_CHANNEL',
      `The channel ${quote(template)} has ${quote(found)}: ${fix}. For a name that has it, give a function.`,
    )
  }
  const [, ...parts] = template.split(token)
  for (let i = 1; i < parts.length - 1; i += 2) {
    if (parts[i] !== '') continue
    throw new EventStreamError(
      'ERR_CHANNEL',
      `The channel ${quote(template)} has nothing between {${parts[i - 1]}} and {${parts[i + 1]}}: put text there that ` +
        'ends the first value.',
    )
  }
  checkChannel(template.replace(token, 'x'))
}

/**
 * Compiles `'room-{id}'`. A name without `{token}` is checked here, the others when they are filled.
 *
 * @throws EventStreamError as {@link checkTemplate}.
 * @returns A function from the values of one request to the channel name. It throws
 *   EventStreamError `ERR_CHANNEL` when a value is missing, empty, not a string, holds the text that ends it, or makes a
 *   name that is none: `room-` would be a channel that strangers share. No two lists of values make the same name.
 */
export function compileTemplate(template: string): ChannelTemplate {
  checkTemplate(template)
  // Text, then for each token its key and the text behind it.
  const [start = '', ...parts] = template.split(token)
  if (parts.length === 0) return () => template
  return (values) => {
    let name = start
    for (let i = 0; i < parts.length; i += 2) {
      const [key, end] = [parts[i] as string, parts[i + 1] as string]
      const value = valueIn(template, key, values)
      // The last value is all that is left. Any other one is over where its end is first found.
      const isLast = i + 2 === parts.length
      if (!isLast && (value + end).indexOf(end) < value.length) {
        throw new EventStreamError(
          'ERR_CHANNEL',
          `In the channel ${quote(template)} the text ${quote(end)} ends {${key}}, so its value cannot be ` +
            `${quote(value)}. Encode such values, or put other text between the tokens.`,
        )
      }
      name += value + end
    }
    return checkChannel(name)
  }
}

function valueIn(template: string, key: string, values: Readonly<Record<string, unknown>>): string {
  const value = Object.hasOwn(values, key) ? values[key] : undefined
  if (typeof value === 'string' && value !== '') return value
  throw new EventStreamError(
    'ERR_CHANNEL',
    `The channel ${quote(template)} needs one value for {${key}}, and has ${quote(value)}.`,
  )
}

/**
 * Makes the name of a channel, for publishers: of a template as routes take it, and values for its tokens.
 *
 * ```ts
 * await eventStream.publishEvent(channelName('dm-{me}-{peer}', { me, peer }), event)
 * ```
 *
 * @param values - Text, not empty; or numbers, which are made text. No value but the last may hold the text behind its token.
 * @throws EventStreamError `ERR_CHANNEL`, as a route answers a request with such values.
 */
export function channelName<Template extends string>(
  template: Template,
  values: ChannelValues<Template>,
): NamesOf<Template> {
  const texts = Object.entries(values ?? {}).map(([key, value]) => [key, textOf(value)])
  return compileTemplate(template)(Object.fromEntries(texts)) as NamesOf<Template>
}

/** Numbers of databases; of others there is no text that everybody would expect. */
function textOf(value: unknown): unknown {
  return Number.isSafeInteger(value) || typeof value === 'bigint' ? String(value) : value
}
