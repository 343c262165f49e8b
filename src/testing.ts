/** Helpers for tests of backends and applications. They work with any runner. */
export { type CreateLog, eventLogSuite, type LogLimits } from './testing/event-log-suite.js'
export type { CreateRegistryLog } from './testing/registry-records.js'
export { registrySuite } from './testing/registry-suite.js'
export { type CreateStreamLog, streamLogSuite } from './testing/stream-log-suite.js'
export type { Test } from './testing/suite.js'
