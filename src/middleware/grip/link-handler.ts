import type { ServerResponse } from 'node:http'
import { EventStreamError } from '../../core/errors.js'
import { nodeEntrance } from '../entrance.js'
import { type EventStreamHandler, toHandler } from '../handler.js'
import { checkMethod } from '../request.js'
import type { GripFront } from './front.js'
import type { Gate } from './gate.js'

/** Answers requests for recovery links, and refuses all others. */
export function linkHandler(
  gate: Gate,
  grip: GripFront | undefined,
  onError: (error: unknown) => void,
): EventStreamHandler {
  const entrance = nodeEntrance('eventStream.linkHandler()')
  return toHandler({ entrance, onError }, async (req, response) => {
    // Of the methods that are used here, HTTP/2's has the same.
    const res = response as ServerResponse
    checkMethod(req)
    const { isProxied } = await gate.enter(req)
    if (isProxied && (await grip?.answerLink(req, res))) return
    throw new EventStreamError('ERR_GRIP_LINK', 'Only a GRIP proxy gets an answer here.')
  })
}
