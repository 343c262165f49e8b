import type { NextApiRequest } from 'next'
import { maxQuestionLength } from './answer'
import { isId, type Message, maxNameLength, maxTextLength } from './message'

/** An error whose message is the client's to read. */
export class RequestError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** @throws RequestError 400 unless the address names a room. */
export function readRoom({ query }: NextApiRequest): string {
  if (isId(query.id)) return query.id
  throw new RequestError(400, 'The room takes 1 to 40 letters, digits and hyphens.')
}

/** @throws RequestError 400 unless the address names an answer. */
export function readAnswerId({ query }: NextApiRequest): string {
  if (isId(query.id)) return query.id
  throw new RequestError(400, 'The answer takes 1 to 40 letters, digits and hyphens.')
}

/** @throws RequestError 400 unless the address has a question within the limits. */
export function readQuestion({ query }: NextApiRequest): string {
  return readText(query, 'question', maxQuestionLength)
}

/** @throws RequestError 415 unless the body is JSON. */
export function checkJson({ headers }: NextApiRequest): void {
  // A form of another site cannot send this type, so nobody posts in a visitor's name.
  if (/^application\/json *(;|$)/i.test(headers['content-type'] ?? '')) return
  throw new RequestError(415, 'Send Content-Type: application/json.')
}

/** @throws RequestError 415 unless the body is JSON, 400 unless it is a message within the limits. */
export function readMessage(req: NextApiRequest): Omit<Message, 'at'> {
  checkJson(req)
  const { body } = req
  return {
    name: readText(body, 'name', maxNameLength),
    text: readText(body, 'text', maxTextLength),
  }
}

/**
 * The name that a client gives to one posting, the same when it tries again.
 *
 * @throws RequestError 400 when it is too long.
 */
export function readIdempotencyKey({ headers }: NextApiRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key === 'string' && /^[\x21-\x7e]{1,64}$/.test(key)) return key
  throw new RequestError(400, 'Idempotency-Key takes 1 to 64 visible ASCII characters.')
}

function readText(from: unknown, field: string, maxLength: number): string {
  const value: unknown = Object(from)[field]
  const text = typeof value === 'string' ? value.trim() : ''
  if (text !== '' && text.length <= maxLength) return text
  throw new RequestError(400, `${field} takes 1 to ${maxLength} characters.`)
}
