import { checkTemplate } from '../core/channels.js'
import { EventStreamError, quote } from '../core/errors.js'
import { checkEventShape, checkName, type NewEvent } from '../core/event.js'
import type { SchemaIssue, SchemaResult, StandardSchema } from '../core/standard-schema.js'
import { fits, patternOf, type TextPattern } from '../core/text-pattern.js'
import { isThenable } from '../core/thenable.js'

/** Of one channel, by the names of events. */
export type EventSchemas = ReadonlyMap<string, StandardSchema>

interface Template {
  readonly text: string
  /** Of the names that it stands for. */
  readonly pattern: TextPattern
  readonly schemas: EventSchemas
}

/** Issues that a message tells of. */
const maxIssues = 3

/** What the events of channels are held to. */
export class ChannelSchemas {
  readonly #names = new Map<string, EventSchemas>()
  /** What is more specific comes first. */
  readonly #templates: Template[] = []

  /**
   * @param channels - Schemas of events, by the names of channels, in which `{token}` stands for any text.
   * @throws EventStreamError `ERR_OPTION` when it is something else; `ERR_CHANNEL`, `ERR_EVENT` or `ERR_FIELD`
   *   when one of the names is none.
   */
  constructor(channels: unknown) {
    for (const [name, events] of entriesOf('schemas', channels)) {
      const schemas = checkSchemas(name, events)
      checkTemplate(name)
      const pattern = patternOf(name)
      if (pattern === undefined) this.#names.set(name, schemas)
      else this.#add({ text: name, pattern, schemas })
    }
  }

  /**
   * Which schemas a channel's events are held to: of all templates that it fits, the most specific one's. Where two
   * are no part of each other, an event of both is held to the schema that was given first.
   *
   * @returns undefined when there are none.
   */
  of(channel: string): EventSchemas | undefined {
    const named = this.#names.get(channel)
    if (named !== undefined) return named
    const found = this.#templates.filter(({ pattern }) => fits(pattern, channel))
    const [first] = found
    if (first === undefined || found.length === 1) return first?.schemas
    const most = found.filter((one) => !found.some((other) => isPart(other, one)))
    return new Map(most.reverse().flatMap(({ schemas }) => [...schemas]))
  }

  #add(template: Template): void {
    const same = this.#templates.find(({ pattern }) => isSame(pattern, template.pattern))
    if (same !== undefined) {
      throw new EventStreamError(
        'ERR_OPTION',
        `schemas has ${quote(same.text)} and ${quote(template.text)}, which are the same channels.`,
      )
    }
    this.#templates.push(template)
  }
}

/**
 * Holds an event to its schema.
 *
 * @returns The event with what the schema made of its data; a promise only where the schema gives one.
 * @throws EventStreamError `ERR_EVENT` when it is no event, `ERR_SCHEMA` when it does not fit.
 */
export function checkEvent(
  channel: string,
  schemas: EventSchemas,
  event: NewEvent,
): NewEvent | Promise<NewEvent> {
  checkEventShape(event)
  const { event: name = 'message', data, raw } = event
  if (raw !== undefined) {
    throw new EventStreamError(
      'ERR_SCHEMA',
      `The channel ${quote(channel)} has schemas, and raw text fits none: give data.`,
    )
  }
  const schema = schemas.get(name)
  if (schema === undefined) {
    const known = [...schemas.keys()].map(quote).join(', ') || 'none at all'
    throw new EventStreamError(
      'ERR_SCHEMA',
      `The channel ${quote(channel)} has no event ${quote(name)}; it has ${known}.`,
    )
  }
  const result = validate(name, schema, data)
  if (!isThenable(result)) return withResult(event, name, result)
  return Promise.resolve(result).then(
    (settled) => withResult(event, name, settled),
    (cause: unknown) => {
      throw schemaFailure(name, cause)
    },
  )
}

/** Schemas may be written by hand. */
function isResult(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false
  const { issues } = result as { readonly issues?: unknown }
  return issues === undefined || Array.isArray(issues)
}

function validate(
  name: string,
  schema: StandardSchema,
  data: unknown,
): SchemaResult | Promise<SchemaResult> {
  try {
    return schema['~standard'].validate(data)
  } catch (cause) {
    throw schemaFailure(name, cause)
  }
}

function withResult(
  { event, idempotencyKey }: NewEvent,
  name: string,
  result: SchemaResult,
): NewEvent {
  if (!isResult(result)) {
    throw new EventStreamError(
      'ERR_SCHEMA',
      `The schema of ${quote(name)} answered ${quote(result)}; give { value } or { issues }.`,
    )
  }
  if (result.issues === undefined) return { event, data: result.value, idempotencyKey }
  const { issues } = result
  const more = issues.length > maxIssues ? `; and ${issues.length - maxIssues} more` : ''
  throw new EventStreamError(
    'ERR_SCHEMA',
    `The data of ${quote(name)} does not fit its schema: ` +
      `${issues.slice(0, maxIssues).map(describeIssue).join('; ')}${more}`,
    { cause: result },
  )
}

function schemaFailure(name: string, cause: unknown): EventStreamError {
  return new EventStreamError('ERR_SCHEMA', `The schema of ${quote(name)} has thrown.`, { cause })
}

/** `user.name: "Expected string"`: what a schema says may have parts of the data in it. */
function describeIssue({ message, path }: SchemaIssue): string {
  const parts: unknown[] = Array.isArray(path) ? path : []
  const keys = parts.map((part) => String(Object(part) === part ? Object(part).key : part))
  return `${keys.length === 0 ? '' : `${keys.join('.').slice(0, 80)}: `}${quote(message)}`
}

/** Whether all names of the one are names of the other too. */
function isPart(one: Template, other: Template): boolean {
  return one !== other && fits(other.pattern, one.text)
}

function isSame(one: TextPattern, other: TextPattern): boolean {
  return one.length === other.length && one.every((part, i) => part === other[i])
}

function checkSchemas(channel: string, events: unknown): EventSchemas {
  const where = `schemas[${quote(channel)}]`
  const schemas = new Map<string, StandardSchema>()
  if (standardOf(events) !== undefined) {
    throw new EventStreamError(
      'ERR_OPTION',
      `${where} is a schema itself; give schemas by the names of events, such as { message: schema }.`,
    )
  }
  for (const [name, schema] of entriesOf(where, events)) {
    checkName(name)
    const { version, validate } = Object(standardOf(schema))
    if (version !== 1 || typeof validate !== 'function') {
      throw new EventStreamError(
        'ERR_OPTION',
        `${where}[${quote(name)}] is ${quote(schema)}; give a schema of zod, valibot, arktype, or another ` +
          'one with the Standard Schema interface, version 1.',
      )
    }
    schemas.set(name, schema as StandardSchema)
  }
  return schemas
}

/** @returns undefined for what is no schema. */
function standardOf(value: unknown): unknown {
  return Object(value)['~standard']
}

function entriesOf(what: string, value: unknown): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
  }
  throw new EventStreamError(
    'ERR_OPTION',
    `${what} is ${quote(value)}; give schemas such as { 'room-{id}': { message: schema } }.`,
  )
}
