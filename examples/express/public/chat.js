import { postJson } from './post-json.js'
import { randomId } from './random-id.js'

const maxMessages = 200
const retryDelaysMs = [500, 1000, 2000, 4000]
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** Shows a room's messages as they come from the server, and posts new ones. */
export function createChat(room) {
  const list = document.querySelector('#chat-messages')
  const form = document.querySelector('#chat-form')
  const name = document.querySelector('#chat-name')
  const text = document.querySelector('#chat-text')
  const button = form.querySelector('button')
  const problem = document.querySelector('#chat-problem')

  document.title = `${room} · headwater`
  document.querySelector('#room').textContent = room
  document.querySelector('#second-page').href = `${location.pathname}${location.search}`
  name.value = `Guest ${Math.floor(100 + Math.random() * 900)}`

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    problem.textContent = ''
    const message = { name: name.value, text: text.value }
    try {
      await post(`/rooms/${room}/messages`, message)
      // What was typed since then is the next message.
      if (text.value === message.text) text.value = ''
    } catch (error) {
      problem.textContent = `Not sent: ${error.message}`
    }
    button.disabled = false
    text.focus()
  })

  return {
    add(message) {
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40
      list.append(messageElement(message))
      while (list.childElementCount > maxMessages) list.firstElementChild.remove()
      if (atEnd) list.scrollTop = list.scrollHeight
    },
    clear() {
      list.replaceChildren()
    },
  }
}

/** Posts until the server has answered: the key makes sure that it publishes only once. */
async function post(url, body) {
  const headers = { 'Idempotency-Key': randomId(16) }
  for (const delayMs of retryDelaysMs) {
    try {
      await postJson(url, body, headers)
      return
    } catch (error) {
      if (!error.passes) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, delayMs))
  }
  await postJson(url, body, headers)
}

function messageElement({ name, text, at, by }) {
  const who = document.createElement('b')
  who.textContent = name
  who.dataset.hue = String([...name].reduce((sum, char) => sum + char.codePointAt(0), 0) % 6)
  const when = document.createElement('time')
  when.dateTime = new Date(at).toISOString()
  // By which process it was taken, where there are several.
  when.textContent = by === undefined ? time.format(at) : `${time.format(at)} · ${by}`
  const what = document.createElement('p')
  what.textContent = text
  const message = document.createElement('li')
  message.append(who, ' ', when, what)
  return message
}
