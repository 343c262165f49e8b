import '../../lib/event-stream.mjs'
import { outcomes } from '../../lib/uses.mjs'

export default async function handle(_req, res) {
  res.json(await outcomes())
}
