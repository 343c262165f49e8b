import compression from 'compression'
import type { RequestHandler } from 'express'

/** Compresses streams too, as nothing says "no-transform" any more. */
export const compressing: readonly RequestHandler[] = [
  compression({ threshold: 0 }),
  (_req, res, next) => {
    res.setHeader('Cache-Control', 'no-cache')
    next()
  },
]

/** What simple wrappers do. */
export const dropsCallback: RequestHandler = (_req, res, next) => {
  const { write, end } = res
  res.write = ((chunk: Buffer) => write.call(res, chunk, 'utf8')) as typeof write
  res.end = ((chunk: Buffer) => end.call(res, chunk, 'utf8')) as typeof end
  next()
}
