import { randomUUID } from 'node:crypto'
import type { Request, RequestHandler } from 'express'
import { RequestError } from './message.js'

/**
 * Gives each browser a user of its own, as long as it keeps the cookie. Real applications have real users: who
 * has signed in, and whom the session says.
 */
export const signIn: RequestHandler = (req, res, next) => {
  if (cookieOf(req) === undefined) {
    res.cookie('user', randomUUID(), { httpOnly: true, sameSite: 'lax' })
  }
  next()
}

/** @throws RequestError 401 when it is nobody. */
export function userOf(req: Request): string {
  const user = cookieOf(req)
  if (user === undefined) throw new RequestError(401, 'Open /export first, which says who you are.')
  return user
}

function cookieOf(req: Request): string | undefined {
  return /(?:^|;\s*)user=([\da-f-]{36})(?:;|$)/.exec(req.get('Cookie') ?? '')?.[1]
}
