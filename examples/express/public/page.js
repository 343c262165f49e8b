import { createChart } from './chart.js'
import { createChat } from './chat.js'
import { createLog } from './log.js'
import { createProof } from './proof.js'
import { randomId } from './random-id.js'

const streamEvents = ['stream-open', 'stream-reset', 'stream-error']
const eventNames = [...streamEvents, 'load', 'message', 'proof', 'served']
const reopenMs = 2000

const room = location.pathname.split('/')[2]
const page = randomId(4)
const url = `/rooms/${room}/pages/${page}/events`

/** What is between this page and the server, if anything is. */
const { through } = document.documentElement.dataset
const liveSuffix = through === undefined ? '' : ` · through ${through}`
const status = document.querySelector('#status')
const note = document.querySelector('#note')
const log = createLog()
const chart = createChart()
const chat = createChat(room)
const proof = createProof(page)

let source
/** Where this page is in all of its channels. */
let position = ''
let lostAt = 0
/** Why channels were reset, by channel. */
const resets = new Map()
let startingOver

/** @param from - A position to go on from; empty to start with the history that the server gives. */
function connect(from) {
  source?.close()
  source = new EventSource(from === '' ? url : `${url}?lastEventId=${encodeURIComponent(from)}`)
  source.onopen = returned
  source.onerror = lost
  for (const name of eventNames) source.addEventListener(name, receive)
}

function receive({ type, data, lastEventId }) {
  log.add(type, data, lastEventId, position)
  position = lastEventId
  const value = JSON.parse(data)
  if (type === 'load') chart.add(value)
  else if (type === 'message') chat.add(value)
  else if (type === 'proof') proof.add(value)
  else if (type === 'served') served(value)
  else if (type === 'stream-reset') reset(value)
}

function returned() {
  if (lostAt === 0) {
    show('live', `Live${liveSuffix}`)
    return
  }
  const awayMs = performance.now() - lostAt
  lostAt = 0
  show('live', `Live again after ${(awayMs / 1000).toFixed(1)} s${liveSuffix}`)
  chart.endGap()
  proof.returned(awayMs)
}

/** Which process serves this page from now on, where there are several. */
function served({ by }) {
  if (lostAt === 0) show('live', `${status.textContent.split(' · ')[0]} · ${by}`)
}

function lost() {
  if (lostAt === 0) {
    lostAt = performance.now()
    show('away', 'Connection lost, coming back')
    chart.beginGap()
    log.lost(position)
    void proof.lost()
  }
  // A browser comes back by itself after a cut, but never after an answer that is no event stream.
  if (source.readyState === EventSource.CLOSED) setTimeout(() => connect(position), reopenMs)
}

/**
 * The server cannot tell what this page missed, so nothing that it shows can be relied on: it starts
 * over with what the server has.
 */
function reset({ channels, reason }) {
  for (const channel of channels) resets.set(channel, reason)
  // Each channel may send a reset of its own, one right behind the other.
  clearTimeout(startingOver)
  startingOver = setTimeout(startOver, 100)
}

function startOver() {
  const what = Array.from(resets, ([channel, reason]) => `${channel} (${reason})`).join(', ')
  resets.clear()
  document.querySelector('#note-text').textContent =
    'The server no longer has what this page missed, so the page started over. ' +
    `It was told so by stream-reset: ${what}.`
  note.hidden = false
  chart.clear()
  chat.clear()
  proof.abandon()
  connect('')
}

function show(state, text) {
  status.dataset.state = state
  status.textContent = text
}

document.querySelector('#note-close').addEventListener('click', () => {
  note.hidden = true
})

// Lists that scroll must be in reach of the keyboard.
for (const list of document.querySelectorAll('.log, .messages')) list.tabIndex = 0

connect('')
