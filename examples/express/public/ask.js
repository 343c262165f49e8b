import { createConnectionView } from './connection-view.js'
import { followAnswer } from './follow-answer.js'
import { postJson } from './post-json.js'
import { randomId } from './random-id.js'

/** What is said of an answer that has ended. */
const endings = {
  completed: 'Completed',
  failed: 'Failed',
  aborted: 'Stopped',
  orphaned: 'Broken off: its server is gone',
}

const form = document.querySelector('#ask-form')
const text = document.querySelector('#ask-text')
const button = document.querySelector('#ask-button')
const question = document.querySelector('#question')
const answer = document.querySelector('#answer')
const connection = createConnectionView(() => followed.reconnect())
const note = document.querySelector('#note')
const problem = document.querySelector('#problem')
const stop = document.querySelector('#stop-button')
const secondTab = document.querySelector('#second-tab')

let followed

/** What the address names. A question is only there when it is asked just now. */
function follow(asked) {
  followed?.leave()
  followed = undefined
  const id = new URLSearchParams(location.search).get('id')
  question.textContent = 'Answer'
  answer.replaceChildren()
  problem.textContent = ''
  note.hidden = true
  button.textContent = id === null ? 'Ask' : 'Ask again'
  secondTab.hidden = id === null
  secondTab.href = location.href
  if (id === null) {
    show('idle', 'Nothing asked yet')
    return
  }
  show('connecting', 'Connecting')
  const url = `/answers/${encodeURIComponent(id)}`
  const query = asked === undefined ? '' : `?${new URLSearchParams(asked)}`
  followed = followAnswer(`${url}${query}`, view)
}

const view = {
  answering() {
    connection.opened('answering', 'Answering')
    update(true)
  },
  // It can be stopped meanwhile: another connection may do for that.
  away: (retryInMs) => connection.lost(retryInMs),
  question(asked) {
    question.textContent = asked
    text.value = asked
  },
  text: (token) => appendToAnswer(token),
  startOver: () => answer.replaceChildren(),
  missing(reason) {
    const mark = document.createElement('mark')
    mark.textContent = '…'
    appendToAnswer(mark)
    tell(
      `A part of this answer is missing: the server no longer has it. It said so by stream-reset: ${reason}.`,
    )
  },
  unknown() {
    show('unknown', 'No such answer')
    tell(
      'The server has no answer of this address: it never had one, or does not keep it any more.',
    )
  },
  broken(reason) {
    connection.ended('Ended')
    update(false)
    tell(`Nothing more comes: ${reason}`)
  },
  ended: (state) => show(state, endings[state]),
}

function appendToAnswer(what) {
  // Whoever has scrolled up is reading there.
  const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40
  answer.append(what)
  if (atEnd) answer.scrollTop = answer.scrollHeight
}

function tell(what) {
  document.querySelector('#note-text').textContent = what
  note.hidden = false
}

function show(state, what) {
  connection.show(state, what)
  update(false)
}

function update(mayStop) {
  stop.hidden = !mayStop
  stop.disabled = false
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  history.pushState(null, '', `?id=${randomId(16)}`)
  follow({ question: text.value })
})

stop.addEventListener('click', async () => {
  const id = new URLSearchParams(location.search).get('id')
  stop.disabled = true
  problem.textContent = ''
  try {
    // What has become of it comes in its stream.
    await postJson(`/answers/${encodeURIComponent(id)}/stop`, {})
  } catch (error) {
    stop.disabled = false
    problem.textContent = `Not stopped: ${error.message}`
  }
})

addEventListener('popstate', () => follow())

// What scrolls must be in reach of the keyboard.
answer.tabIndex = 0

follow()
