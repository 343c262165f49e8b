import { postJson } from './post-json.js'
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
  /** How many events the server has published, once it has answered. */
  published
  /** How long the page was away, once it is back. */
  awayMs
  /** Whether all were published while the page was away: others would prove nothing. */
  wasAway = false
  isAsked = false
  #highest = 0

  returned(awayMs) {
    this.awayMs = awayMs
    this.wasAway = this.published !== undefined
  }

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

/** Has the connection cut, asks for events once it is, and counts what arrives of them. */
export function createProof(page) {
  const view = createProofView(expected)
  /** The run that is shown; events of other runs are not counted. */
  let run
  let timer
  let isAway = false
  /** The server's answer that all are published. */
  let publishing

  async function begin() {
    const begun = new Run()
    run = begun
    view.begin()
    concludeIn(patienceMs)
    // A page that is away already has nothing to cut.
    if (isAway) goOnAway()
    else await ask(begun, 'cut')
  }

  function goOnAway() {
    run.isAsked = true
    publishing = publish(run)
  }

  /** @returns What the server answers; undefined when it does not do it, which ends the run. */
  async function ask(asking, what) {
    try {
      return await postJson(`/proof/${page}/${what}`, { run: asking.id })
    } catch (error) {
      if (run === asking) giveUp('The server could not be asked.', error.message)
    }
  }

  async function publish(asking) {
    asking.published = (await ask(asking, 'events'))?.published
    if (run === asking) proceed()
  }

  function proceed() {
    view.progress(run)
    // An event that comes twice comes right behind the others.
    if (run.missed === 0 && run.published && run.awayMs !== undefined) concludeIn(settleMs)
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
    /** Only from here on, as events that come by the connection before would prove nothing. */
    lost() {
      isAway = true
      if (run !== undefined && !run.isAsked && view.isRunning()) goOnAway()
    },
    /** Not before all are published: a page that is back by then would prove nothing. */
    mayReturn: () => publishing,
    returned(awayMs) {
      isAway = false
      if (run === undefined || run.awayMs !== undefined) return
      run.returned(awayMs)
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
