import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type RequestHandler } from 'express'

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

/** What the page is made of: the files in `public`, and the chart library. */
export const assets = express
  .Router()
  .use(express.static(publicFolder, { index: false }))
  .get(['/uPlot.esm.js', '/uPlot.min.css'], (req, res) => {
    res.sendFile(req.path, { root: uplotFolder })
  })

export const page: RequestHandler = (_req, res) => {
  res.sendFile('index.html', { root: publicFolder })
}
