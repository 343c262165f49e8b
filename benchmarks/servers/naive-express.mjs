import { createServer } from 'node:http'
import express from 'express'
import { listen } from '../lib/naive.mjs'

const app = express()
app.get('/c/:id', (req, res) => listen(res, req.params.id))

export const server = createServer(app)
export { publish } from '../lib/naive.mjs'
