import '../../../lib/event-stream.mjs'
import { outcomes } from '../../../lib/uses.mjs'

export const dynamic = 'force-dynamic'

export async function GET() {
  return Response.json(await outcomes())
}
