import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type Request, type RequestHandler } from 'express'

const publicFolder = fileURLToPath(new URL('../public', import.meta.url))
const uplotFolder = dirname(fileURLToPath(import.meta.resolve('uplot')))

/** Headers that keep the pages to their own scripts, styles and connections. */
export const securityHeaders: RequestHandler = (_req, res, next) => {
  res.set({
    'Content-Security-Policy':
      "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  next()
}

/** What the pages are made of: the files in `public`, and the chart library. */
export const assets = express
  .Router()
  .use(express.static(publicFolder, { index: false }))
  .get(['/uPlot.esm.js', '/uPlot.min.css'], (req, res) => {
    res.sendFile(req.path, { root: uplotFolder })
  })

/** Whether a visitor has come through the GRIP proxy, which signs what it passes on. */
export function isProxied(req: Request): boolean {
  return Boolean(process.env.GRIP_URL) && req.get('Grip-Sig') !== undefined
}

const html = readFileSync(join(publicFolder, 'index.html'), 'utf8')
const proxiedHtml = html.replace('<html', '<html data-through="Pushpin"')

export const page: RequestHandler = (req, res) => {
  res.send(isProxied(req) ? proxiedHtml : html)
}

export const askPage: RequestHandler = (_req, res) => {
  res.sendFile('ask.html', { root: publicFolder })
}

export const exportPage: RequestHandler = (_req, res) => {
  res.sendFile('export.html', { root: publicFolder })
}
