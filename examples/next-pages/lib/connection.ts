import type { ConnectionState } from 'headwater/react'

/** When a lost connection is tried again, where that is known. */
export type Connection = Partial<Pick<ConnectionState, 'error' | 'retryInMs'>>
