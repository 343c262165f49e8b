/** What `resumable-stream/generic` is: no client is made here. */
export type { ResumableStreamContext, WaitUntil } from './resumable/context.js'
export type { Publisher, Subscriber } from './resumable/generic/clients.js'
export {
  type CreateResumableStreamContextOptions,
  createGenericResumableStreamContext as createResumableStreamContext,
} from './resumable-contexts.js'
