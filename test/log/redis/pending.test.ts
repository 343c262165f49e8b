import { expect, test } from '@jest/globals'
import { Pending } from '../../../src/log/redis/pending.js'
import { until } from '../../support/until.js'

const readOnly = () => new Error("READONLY You can't write against a read only replica.")
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A Redis that takes commands one by one, and is made a master between two of them. */
function replica() {
  const done: number[] = []
  const state = {
    isReadOnly: true,
    promoteBehind: Number.POSITIVE_INFINITY,
    answerMs: 2,
    taken: 0,
    done,
  }
  let queue = Promise.resolve()
  const attempt = (n: number) => async () => {
    const answer = queue
      .then(() => wait(state.answerMs))
      .then(() => {
        state.taken += 1
        const wasReadOnly = state.isReadOnly
        if (state.taken >= state.promoteBehind) state.isReadOnly = false
        if (!wasReadOnly) done.push(n)
        return wasReadOnly
      })
    queue = answer.then(() => undefined)
    if (await answer) throw readOnly()
  }
  const append = (pending: Pending, n: number) =>
    pending.run({ what: `append ${n}`, writes: true, attempt: attempt(n) })
  return { state, append }
}

test.each([3, 4, 5, 6, 7, 8])(
  'keeps the order of what was refused when a connection comes back to a replica that is promoted behind command %i',
  async (promoteBehind) => {
    const { state, append } = replica()
    const pending = new Pending(5000, 1000, { onSilence: () => undefined })
    state.promoteBehind = promoteBehind
    pending.up()
    const first = [0, 1].map((n) => append(pending, n))
    await until(() => state.taken === 2)
    pending.down(readOnly())
    const later = [2, 3, 4].map((n) => append(pending, n))
    pending.up()
    const last = [5, 6].map((n) => append(pending, n))
    await Promise.all([...first, ...later, ...last])
    expect(state.done).toEqual([0, 1, 2, 3, 4, 5, 6])
  },
)

test('keeps the order where answers take longer than the pause between tries', async () => {
  const { state, append } = replica()
  const pending = new Pending(10_000, 1000, { onSilence: () => undefined })
  Object.assign(state, { promoteBehind: 5, answerMs: 120 })
  pending.up()
  await Promise.all([0, 1, 2, 3].map((n) => append(pending, n)))
  expect(state.done).toEqual([0, 1, 2, 3])
})
