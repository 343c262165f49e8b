import { expect } from '@jest/globals'
import { EventStreamError } from '../../src/index.js'

/** @returns Undefined when the call was refused in the terms of this package. */
export async function unlessRefused<Result>(call: Promise<Result>): Promise<Result | undefined> {
  try {
    return await call
  } catch (error) {
    expect(error).toBeInstanceOf(EventStreamError)
    expect((error as EventStreamError).code).not.toBe('ERR_LOG_UNAVAILABLE')
    return undefined
  }
}
