export type { LogHealth, RemoteLog } from './log/event-log.js'
export type { PostgresEventLogOptions } from './log/postgres/options.js'
export type { PostgresClient, PostgresNotification, PostgresPool } from './log/postgres/pool.js'
export { postgresEventLog } from './log/postgres/postgres-event-log.js'
export {
  type PostgresSchemaOptions,
  type Purged,
  purgePostgres,
  type SetUp,
  setUpPostgres,
} from './log/postgres/set-up.js'
