import { describe, expect, test } from '@jest/globals'
import { messageOf, whyFailed } from '../../../src/log/redis/driver.js'

const sha = '0123456789abcdef'.repeat(3).slice(0, 40)
const readOnly = "READONLY You can't write against a read only replica."
const full = "OOM command not allowed when used memory > 'maxmemory'."

describe('whyFailed', () => {
  test.each([
    ['busy', readOnly, `${readOnly} script: ${sha}, on @user_script:7.`],
    ['refused', full, `${full} script: ${sha}, on @user_script:7.`],
    // As Redis 6.2 puts it.
    [
      'busy',
      readOnly,
      `ERR Error running script (call to f_${sha}): @user_script:7: @user_script: 7: -${readOnly}`,
    ],
    ['refused', full, `ERR Error running script (call to f_${sha}): @user_script:7: -${full}`],
  ])('knows what happened in a script: %s', (why, message, text) => {
    expect([whyFailed(new Error(text)), messageOf(new Error(text))]).toEqual([why, message])
  })

  test.each([
    ['lost', 'Connection is closed.'],
    ['lost', 'read ECONNRESET'],
    ['refused', `ERR Error running script (call to f_${sha}): @user_script:7: attempt to call nil`],
    ['busy', 'LOADING Redis is loading the dataset in memory'],
  ])('is %s of: %s', (why, text) => {
    expect(whyFailed(new Error(text))).toBe(why)
  })
})
