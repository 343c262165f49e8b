/** Who streams what, how it ended, and what becomes of a stream whose process has died. */
export {
  type Completion,
  CompletionStore,
  type NewCompletion,
  type StreamEvents,
} from './resilience/completion-store.js'
export {
  type GuardianEvents,
  type GuardianHealth,
  type GuardianOptions,
  type JobCompletion,
  StreamGuardian,
} from './resilience/guardian.js'
export type { RegistryOptions } from './resilience/options.js'
export { ownerOnly } from './resilience/owner.js'
export type { RegisteredStream } from './resilience/record.js'
export { type RecoveryOptions, recoveryHandler } from './resilience/recovery-handler.js'
export { type Resilience, resilience, type SendStreamEvent } from './resilience/resilience.js'
export { type NewStream, StreamRegistry } from './resilience/stream-registry.js'
