/** What `resumable-stream/ioredis` is: clients are told apart, so it is the same. */
export * from './resumable.js'
