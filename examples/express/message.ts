import type { Request, RequestHandler } from 'express'
import express from 'express'

/** What a visitor has said. */
export interface Message {
  readonly name: string
  readonly text: string
}

/** An error whose message is the client's to read. */
export class RequestError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Parses a body that is JSON and small, and refuses every other one. */
export const jsonBody: readonly RequestHandler[] = [
  (req, _res, next) => {
    // A form of another site cannot send this type, so nobody posts in a visitor's name.
    if (req.is('application/json')) next()
    else next(new RequestError(415, 'Send Content-Type: application/json.'))
  },
  express.json({ limit: '8kb' }),
]

/** @throws RequestError 400 unless the body is a message within the limits. */
export function readMessage(req: Request): Message {
  return { name: readText(req.body, 'name', 40), text: readText(req.body, 'text', 1000) }
}

/**
 * The name that a client gives to one posting, the same when it tries again.
 *
 * @throws RequestError 400 when it is too long.
 */
export function readIdempotencyKey(req: Request): string | undefined {
  const key = req.get('Idempotency-Key')
  if (key === undefined || /^[\x21-\x7e]{1,64}$/.test(key)) return key
  throw new RequestError(400, 'Idempotency-Key takes 1 to 64 visible ASCII characters.')
}

/** @throws RequestError 400 unless the field holds 1 to `maxLength` characters. */
export function readText(body: unknown, field: string, maxLength: number): string {
  const value = Object(body)[field]
  const text = typeof value === 'string' ? value.trim() : ''
  if (text !== '' && text.length <= maxLength) return text
  throw new RequestError(400, `${field} takes 1 to ${maxLength} characters.`)
}
