import { createProofView } from './proof-view.js'
import { randomId } from './random-id.js'

const expected = 20
const settleMs = 400
const patienceMs = 15_000

/** Counts the events of one cut, each by its number. */
class Run {
  id = randomId(8)
  seen = new Set()
  twice = 0
  disordered = 0
  /** What the server says of it, once it has answered. */
  answer
  /** How long the page was away, once it is back. */
  awayMs
  #highest = 0

  /** @returns Whether the event came once and in its place. */
  take(n) {
    const again = this.seen.has(n)
    const late = !again && n < this.#highest
    this.twice += again ? 1 : 0
    this.disordered += late ? 1 : 0
    this.seen.add(n)
    this.#highest = Math.max(this.#highest, n)
    return !again && !late
  }

  get missed() {
    return expected - this.seen.size
  }
}

/** Has the connection cut, and counts what arrives of the events that were published meanwhile. */
export function createProof(page) {
  const view = createProofView(expected)
  /** The run that is shown; events of other runs are not counted. */
  let run
  let timer

  async function begin() {
    const begun = new Run()
    run = begun
    view.begin()
    concludeIn(patienceMs)
    try {
      begun.answer = await requestCut(page, begun.id)
      if (run === begun) proceed()
    } catch (error) {
      if (run === begun) giveUp('The server could not be asked.', error.message)
    }
  }

  function proceed() {
    view.progress(run)
    // An event that comes twice comes right behind the others.
    if (run.missed === 0 && run.answer && run.awayMs !== undefined) concludeIn(settleMs)
  }

  function concludeIn(ms) {
    clearTimeout(timer)
    timer = setTimeout(() => view.conclude(run), ms)
  }

  function giveUp(text, reason) {
    clearTimeout(timer)
    run = undefined
    view.fail(text, reason)
  }

  view.button.addEventListener('click', begin)

  return {
    add({ run: id, n }) {
      if (id !== run?.id) return
      view.mark(n, run.take(n))
      proceed()
    },
    returned(awayMs) {
      if (run === undefined || run.awayMs !== undefined) return
      run.awayMs = awayMs
      proceed()
    },
    /** The page starts over: what it is sent anew is no part of the run. */
    abandon() {
      if (view.isRunning()) giveUp('The server lost its history.', 'Nothing can be said about it.')
      clearTimeout(timer)
      run = undefined
    },
  }
}

async function requestCut(page, run) {
  const response = await fetch(`/proof/${page}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ run }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error)
  return answer
}
