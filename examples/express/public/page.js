import { createChart } from './chart.js'
import { createChat } from './chat.js'
import { createConnectionView } from './connection-view.js'
import { followRoom } from './follow-room.js'
import { followRoomPlainly } from './follow-room-plain.js'
import { createLog } from './log.js'
import { createProof } from './proof.js'
import { randomId } from './random-id.js'

/** Why messages are missing, by what a reset says. */
const reasons = {
  trimmed: 'they are older than what the server keeps',
  unknown: 'the server has a new history, as after a restart',
  invalid: 'the server cannot tell where this page was',
}

const room = location.pathname.split('/')[2]
const page = randomId(4)
const isPlain = new URLSearchParams(location.search).has('plain')

/** What is between this page and the server, if anything is. */
const { through } = document.documentElement.dataset
const live = through === undefined ? 'Live' : `Live · through ${through}`
const note = document.querySelector('#note')
const log = createLog()
const chart = createChart()
const chat = createChat(room)
const proof = createProof(page)
const connection = createConnectionView(() => stream.reconnect())

/** The id that came last, to show what the next one has moved. */
let position = ''
/** Why channels were reset, by channel. */
const resets = new Map()
let startingOver

const show = {
  opened() {
    const awayMs = connection.opened('live', live)
    if (awayMs === undefined) return
    chart.endGap()
    proof.returned(awayMs)
  },
  lost(retryInMs) {
    connection.lost(retryInMs)
    chart.beginGap()
    log.lost(position)
    proof.lost()
  },
  ended(reason) {
    connection.ended('Ended')
    tell(`Nothing more comes: ${reason}`)
  },
  event({ type, data, lastEventId, json }) {
    keep(type, data, lastEventId)
    if (type === 'load') chart.add(json)
    else if (type === 'message') chat.add(json)
    else if (type === 'proof') proof.add(json)
    // Which process serves this page from now on, where there are several.
    else if (type === 'served') connection.show('live', `${live} · ${json.by}`)
  },
  /**
   * The server cannot tell what this page missed, so nothing that it shows can be relied on: it starts
   * over with what the server has.
   */
  reset({ channels, reason }, lastEventId) {
    keep('stream-reset', JSON.stringify({ channels, reason }), lastEventId)
    for (const channel of channels) resets.set(channel, reason)
    // Each channel may send a reset of its own, one right behind the other.
    clearTimeout(startingOver)
    startingOver = setTimeout(startOver, 100)
  },
}

function keep(type, data, lastEventId) {
  log.add(type, data, lastEventId, position)
  position = lastEventId
}

function startOver() {
  const [reason] = resets.values()
  const what = Array.from(resets, ([channel, why]) => `${channel} (${why})`).join(', ')
  resets.clear()
  tell(
    `Some messages are missing: ${reasons[reason] ?? reason}. The page has started over with what the ` +
      `server has. It was told so by stream-reset: ${what}.`,
  )
  chart.clear()
  chat.clear()
  proof.abandon()
  stream.startOver()
}

function tell(what) {
  document.querySelector('#note-text').textContent = what
  note.hidden = false
}

document.querySelector('#note-close').addEventListener('click', () => {
  note.hidden = true
})

if (isPlain) {
  const other = document.querySelector('#other-client')
  other.href = location.pathname
  other.textContent = 'this page by headwater/client'
}

// Lists that scroll must be in reach of the keyboard.
for (const list of document.querySelectorAll('.log, .messages')) list.tabIndex = 0

const stream = (isPlain ? followRoomPlainly : followRoom)(
  `/rooms/${room}/pages/${page}/events`,
  show,
  proof.mayReturn,
)
