import type { NextApiRequest, NextApiResponse } from 'next'
import { eventStream } from '../../../lib/event-stream'
import { RequestError, readAnswerId, readQuestion } from '../../../lib/request'
import { writeAnswer } from '../../../lib/write-answer'

const follow = eventStream.streams.handler('answer-{id}')

const ask = eventStream.streams.handler('answer-{id}', (req: NextApiRequest, { signal }) =>
  writeAnswer(readQuestion(req), signal),
)

/** With a question, the answer is written, once however often it is asked for; without, it is followed. */
export default async function answer(req: NextApiRequest, res: NextApiResponse) {
  try {
    readAnswerId(req)
    if (req.query.question === undefined) return await follow(req, res)
    readQuestion(req)
    await ask(req, res)
  } catch (error) {
    // The handler has answered it, and an answer that is no longer kept is nothing to report.
    if ((error as { readonly code?: unknown }).code === 'ERR_STREAM_UNKNOWN') return
    if (!(error instanceof RequestError)) throw error
    res.status(error.status).json({ error: error.message })
  }
}
