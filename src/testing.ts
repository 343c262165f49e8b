/** Helpers for tests of backends and applications. They work with any runner. */
export {
  type CreateLog,
  eventLogSuite,
  type LogLimits,
  type Test,
} from './testing/event-log-suite.js'
