import { channelName } from 'headwater'
import type { NextApiRequest, NextApiResponse } from 'next'
import { eventStream } from '../../../../lib/event-stream'
import { checkJson, RequestError, readAnswerId } from '../../../../lib/request'

export const config = { api: { bodyParser: { sizeLimit: '8kb' } } }

/** Ends an answer, for all who read it. */
export default async function stopAnswer(req: NextApiRequest, res: NextApiResponse) {
  try {
    if (req.method !== 'POST') {
      res.setHeader('Allow', 'POST')
      throw new RequestError(405, `An answer is stopped by POST, not by ${req.method}.`)
    }
    checkJson(req)
    const status = await eventStream.streams.stop(
      channelName('answer-{id}', { id: readAnswerId(req) }),
    )
    if (status === undefined) throw new RequestError(404, 'There is no such answer.')
    res.json({ state: status.state })
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    res.status(error.status).json({ error: error.message })
  }
}
