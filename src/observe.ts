export type { CloseReason, SentAwayReason } from './observe/counters.js'
export type { Health } from './observe/health.js'
export {
  type HealthAnswer,
  type HealthHandlerOptions,
  type HealthStatus,
  healthHandler,
} from './observe/health-handler.js'
export type {
  BehindMessage,
  ConnectionCloseMessage,
  ConnectionOpenMessage,
  ErrorMessage,
  GuardianMessage,
  GuardianRound,
  ObservedMessage,
  ObservedMessages,
  PublishMessage,
  ReplayMessage,
  ResetMessage,
  StreamEndMessage,
  StreamStartMessage,
} from './observe/messages.js'
export type { Latency, Metrics } from './observe/metrics.js'
export {
  metricsHandler,
  type PrometheusOptions,
  type PrometheusRegister,
  prometheusMetrics,
} from './observe/prometheus.js'
export { type StatusPageOptions, statusPage } from './observe/status-page.js'
