import type { ServerResponse } from 'node:http'
import type { Cursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { controlEvents } from '../core/event.js'
import { checkFunction, checkNames } from '../core/options.js'
import { isEndId } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import { checkRight } from '../middleware/authorize.js'
import { addVary } from '../middleware/caching.js'
import { type ChannelSource, channelResolver } from '../middleware/channel-source.js'
import { nodeEntrance } from '../middleware/entrance.js'
import { isGone } from '../middleware/gone.js'
import { type EventStreamHandler, toHandler } from '../middleware/handler.js'
import { checkMethod, type RequestLike, readCursor } from '../middleware/request.js'
import { answerOver, byPosition } from '../middleware/response.js'
import type { StreamEvent } from '../resumable/chunk.js'
import { CompletionStore } from './completion-store.js'
import { type Asking, isOwner } from './owner.js'
import { gates, registeredStreamsOf } from './parts.js'
import type { RegisteredStream } from './record.js'
import { unknownStream } from './shared.js'
import { StreamRegistry } from './stream-registry.js'

export interface RecoveryOptions<Req = RequestLike> {
  /**
   * The id of the stream: a name with `{token}` for a value of the route's parameters, or a function.
   * @defaultValue '{streamId}'
   */
  readonly id?: ChannelSource<Req> | undefined
  /**
   * Who asks. Only the owner of a stream gets it; who is nobody gets those that are nobody's.
   */
  readonly user?: Asking<Req> | undefined
  /** Whether a request may have a stream. It takes the place of `user`; false answers 403. */
  readonly authorize?:
    | ((req: Req, stream: RegisteredStream) => boolean | Promise<boolean>)
    | undefined
}

/**
 * Tells a client that was away what became of its stream: `GET …/streams/:streamId/recover`, with its position as
 * `Last-Event-ID` or `?lastEventId=`.
 *
 * 200 with `{ status, streamId, streamType, startedAt, events, lastEventId, isComplete, isReset, result, reason }`;
 * 204 when there is nothing it has not got; 403 to all but its owner; 404 when it is unknown; 410 when it has expired.
 *
 * @throws EventStreamError `ERR_OPTION`.
 */
export function recoveryHandler<Req extends RequestLike = RequestLike>(
  eventStream: EventStream,
  options: RecoveryOptions<Req> = {},
): EventStreamHandler<Req> {
  checkNames('recoveryHandler', options, ['id', 'user', 'authorize'])
  const { id = '{streamId}', user, authorize } = options
  checkFunction('user', user)
  checkFunction('authorize', authorize)
  const resolve = channelResolver([id], 1)
  const gate = gates.of(eventStream)
  const registry = new StreamRegistry(eventStream)
  const completions = new CompletionStore(eventStream)

  const streams = registeredStreamsOf(eventStream)
  const host = { onError: (error: unknown) => streams.onError(error) }

  const checkAsking = async (req: Req, stream: RegisteredStream) => {
    const refuse = (options?: ErrorOptions) => forbidden(stream.streamId, options)
    if (authorize !== undefined) await checkRight(() => authorize(req, stream), host, refuse)
    else if (!isOwner(stream, await user?.(req))) throw refuse()
  }

  const entrance = nodeEntrance('recoveryHandler(eventStream)')
  return toHandler<Req>({ ...host, entrance }, async (req, response) => {
    const res = response as ServerResponse
    checkMethod(req, ['GET', 'HEAD'])
    await gate.enter(req)
    const cursor = readCursor(req)
    const [streamId] = (await resolve(req)) as [string]
    const stream = await registry.getStream(streamId)
    if (stream === undefined) throw unknownStream(streamId)
    await checkAsking(req, stream)
    if (isGone(res)) return
    const recovered = stream.kind === 'stream' ? await recover(stream, cursor) : undefined
    if (recovered === undefined) answerOver(res)
    else answerJson(res, recovered)
  })

  /** @returns undefined when the client has all there will ever be. */
  async function recover(stream: RegisteredStream, cursor: Cursor | 'invalid' | undefined) {
    const { streamId, streamType, startedAt, state } = stream
    if (state === 'expired') throw expired(streamId)
    const after = cursor && positionOf(cursor)
    const [found, known] = await Promise.all([
      completions.getEvents(streamId, { after }),
      state === 'active' ? undefined : completions.getCompletion(streamId),
    ]).catch((error) => {
      // There is a record, so the log had it.
      throw error instanceof EventStreamError && error.code === 'ERR_STREAM_UNKNOWN'
        ? expired(streamId)
        : error
    })
    // It may have ended since, and who is given the position of its end will not be told of it again.
    const isLate = known === undefined && isEndId(found.lastEventId)
    const completion = isLate ? await completions.getCompletion(streamId) : known
    if (completion !== undefined && after === completion.lastEventId) return undefined
    const { result, reason } = completion ?? {}
    const status = completion?.state ?? state
    const isReset = found.isReset || (cursor !== undefined && after === undefined)
    const events = found.events.map(toJsonEvent)
    return { status, streamId, streamType, startedAt, ...found, events, isReset, result, reason }
  }
}

/** @returns undefined where a client that has one in channels has none in a stream. */
function positionOf(cursor: Cursor | 'invalid'): EntryId | undefined {
  return cursor !== 'invalid' && 'id' in cursor ? cursor.id : undefined
}

/** Bytes are told as a stream tells them. */
function toJsonEvent({ id, event, data }: StreamEvent): StreamEvent {
  if (!(data instanceof Uint8Array)) return { id, event, data }
  return { id, event: controlEvents.bytes, data: Buffer.from(data).toString('base64') }
}

function answerJson(res: ServerResponse, body: object): void {
  res.statusCode = 200
  addVary(res, byPosition)
  res.setHeader('Content-Type', 'application/json; charset=utf-8')
  res.end(JSON.stringify(body))
}

function forbidden(streamId: string, options?: ErrorOptions): EventStreamError {
  return new EventStreamError(
    'ERR_FORBIDDEN',
    `This request may not have the stream ${quote(streamId)}, which is somebody else's.`,
    options,
  )
}

function expired(streamId: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_EXPIRED',
    `The stream ${quote(streamId)} was here, and is no longer kept: start over.`,
  )
}
