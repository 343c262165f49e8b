import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type Request, type RequestHandler } from 'express'

const publicFolder = fileURLToPath(new URL('../public', import.meta.url))
const uplotFolder = dirname(fileURLToPath(import.meta.resolve('uplot')))
const clientFile = fileURLToPath(import.meta.resolve('headwater/client'))
const headwaterFolder = dirname(clientFile)
// It is the client's own, so it is found from there, wherever it was installed.
const parserFolder = dirname(createRequire(clientFile).resolve('eventsource-parser'))

/** Where the browser finds packages by their names, as there is no bundler that would put them in. */
const importMap = JSON.stringify({
  imports: {
    'headwater/client': '/assets/headwater/client.js',
    'eventsource-parser': '/assets/eventsource-parser/index.js',
  },
})
const importMapHash = createHash('sha256').update(importMap).digest('base64')

/** Headers that keep the pages to their own scripts, styles and connections. */
export const securityHeaders: RequestHandler = (_req, res, next) => {
  res.set({
    // Nothing inline runs but the import map, which may be nothing else than what it is.
    'Content-Security-Policy':
      `default-src 'self'; script-src 'self' 'sha256-${importMapHash}'; base-uri 'none'; ` +
      "form-action 'self'; frame-ancestors 'none'",
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  next()
}

/**
 * What the pages are made of: the files in `public`, the chart library, and of headwater what runs in browsers.
 * Browsers keep them, and ask each time whether they are still the same.
 */
export const assets = express
  .Router()
  .use(express.static(publicFolder, { index: false }))
  .get(['/uPlot.esm.js', '/uPlot.min.css'], (req, res) => {
    res.sendFile(req.path, { root: uplotFolder })
  })
  .get('/headwater/client.js', (_req, res) => {
    res.sendFile('client.js', { root: headwaterFolder })
  })
  .use('/headwater/client', express.static(join(headwaterFolder, 'client')))
  .use('/headwater/core', express.static(join(headwaterFolder, 'core')))
  .get('/eventsource-parser/index.js', (_req, res) => {
    res.sendFile('index.js', { root: parserFolder })
  })

/** Whether a visitor has come through the GRIP proxy, which signs what it passes on. */
export function isProxied(req: Request): boolean {
  return Boolean(process.env.GRIP_URL) && req.get('Grip-Sig') !== undefined
}

function htmlOf(file: string): string {
  const html = readFileSync(join(publicFolder, file), 'utf8')
  return html.replace('<script type="importmap">', `$&${importMap}`)
}

const html = htmlOf('index.html')
const proxiedHtml = html.replace('<html', '<html data-through="Pushpin"')
const askHtml = htmlOf('ask.html')
const exportHtml = htmlOf('export.html')

export const page: RequestHandler = (req, res) => {
  res.send(isProxied(req) ? proxiedHtml : html)
}

export const askPage: RequestHandler = (_req, res) => {
  res.send(askHtml)
}

export const exportPage: RequestHandler = (_req, res) => {
  res.send(exportHtml)
}
