/** The API of `resumable-stream`: changing the import is the whole migration. */
export type { ResumableStreamContext, WaitUntil } from './resumable/context.js'
export type { Publisher, Subscriber } from './resumable/generic/clients.js'
export {
  type CreatePostgresResumableStreamContextOptions,
  type CreateResumableStreamContextOptions,
  createPostgresResumableStreamContext,
  createResumableStreamContext,
} from './resumable-contexts.js'
