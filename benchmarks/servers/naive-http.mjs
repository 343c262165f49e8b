import { createServer } from 'node:http'
import { listen } from '../lib/naive.mjs'

export const server = createServer((req, res) => listen(res, req.url.slice('/c/'.length)))
export { publish } from '../lib/naive.mjs'
