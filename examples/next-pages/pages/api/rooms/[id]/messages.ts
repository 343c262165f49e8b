import { channelName } from 'headwater'
import type { NextApiRequest, NextApiResponse } from 'next'
import { eventStream } from '../../../../lib/event-stream'
import { RequestError, readIdempotencyKey, readMessage, readRoom } from '../../../../lib/request'

export const config = { api: { bodyParser: { sizeLimit: '8kb' } } }

/** What is posted to a room is published on its channel. */
export default async function postMessage(req: NextApiRequest, res: NextApiResponse) {
  try {
    if (req.method !== 'POST') {
      res.setHeader('Allow', 'POST')
      throw new RequestError(405, `Messages are posted, not ${req.method}.`)
    }
    const { id } = await eventStream.publishEvent(channelName('room-{id}', { id: readRoom(req) }), {
      event: 'message',
      data: { ...readMessage(req), at: Date.now() },
      idempotencyKey: readIdempotencyKey(req),
    })
    res.status(201).json({ id })
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    res.status(error.status).json({ error: error.message })
  }
}
