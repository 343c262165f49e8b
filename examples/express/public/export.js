import { createConnectionView } from './connection-view.js'
import { followJob } from './follow-job.js'
import { postJson } from './post-json.js'

/** What is said of an export that has ended. */
const endings = {
  completed: 'Completed',
  failed: 'Failed',
  aborted: 'Stopped',
  orphaned: 'Its worker is gone',
}

/** What is listed beside it. `expired` ones are not. */
const states = { ...endings, active: 'Going on' }

const refusals = {
  401: ['unknown', 'Not yours', 'You have no exports yet, and this is somebody’s.'],
  403: ['unknown', 'Not yours', 'This is somebody else’s export. Start one of your own.'],
}

const unknown = ['unknown', 'No such export', 'The server never had it, or keeps it no longer.']

const time = new Intl.DateTimeFormat('en', { timeStyle: 'medium' })
const size = new Intl.NumberFormat('en', { style: 'unit', unit: 'byte', unitDisplay: 'long' })

const connection = createConnectionView(() => followed.reconnect())
const status = document.querySelector('#status')
const start = document.querySelector('#start-button')
const job = document.querySelector('#job')
const progress = document.querySelector('#progress')
const figures = document.querySelector('#figures')
const detail = document.querySelector('#detail')
const outcome = document.querySelector('#outcome')
const file = document.querySelector('#file')
const deaths = document.querySelector('#deaths')
const mine = document.querySelector('#mine')
const problem = document.querySelector('#problem')

const listingMs = 2000

let followed
let listing
/** What is said of a worker that was told to die; there is nothing else to see of it. */
let death = ''

/** The export that the address names. */
function follow() {
  followed?.leave()
  followed = undefined
  death = ''
  problem.textContent = ''
  const id = idOf(location)
  job.hidden = id === null
  progress.value = 0
  figures.textContent = ''
  detail.textContent = ''
  show(id === null ? 'idle' : 'connecting', id === null ? 'Nothing exported yet' : 'Connecting')
  void list()
  if (id !== null) followed = followJob(id, view)
}

const view = {
  working() {
    connection.opened('working', 'Exporting')
    update()
  },
  away(retryInMs) {
    connection.lost(retryInMs)
    update()
  },
  progress({ row, rows, by }) {
    progress.max = rows
    progress.value = row
    figures.textContent = `${row} of ${rows} rows`
    if (by !== undefined) figures.textContent += ` · ${by}`
  },
  refused(code) {
    job.hidden = true
    const [state, what, why] = refusals[code] ?? unknown
    show(state, what)
    problem.textContent = why
    void list()
  },
  ended(state, { result, reason, isRecovered }) {
    show(state, endings[state])
    outcome.textContent = tellEnd(state, { result, reason, isRecovered })
    if (state === 'completed') {
      progress.value = progress.max
      figures.textContent = `${result.rows} rows`
      file.textContent = `Download export.csv (${size.format(result.bytes)})`
      file.href = `/jobs/${encodeURIComponent(idOf(location))}/export.csv`
    }
    file.hidden = state !== 'completed'
    void list()
  },
}

function tellEnd(state, { result, reason, isRecovered }) {
  if (state === 'orphaned') {
    return 'The worker has died before it was finished, so nothing more will come. Start another export instead.'
  }
  if (state === 'aborted') return result?.reason ?? 'It was stopped.'
  if (state !== 'completed') return 'The export could not be written.'
  if (reason !== undefined) {
    return `The worker died when it had only to say that it was finished. Its result was ${reason}.`
  }
  return isRecovered ? 'It was finished while this page was away.' : 'All is written.'
}

function show(state, what) {
  connection.show(state, what)
  update()
}

/** All that depends on whether the export goes on. */
function update() {
  start.textContent = job.hidden ? 'Start an export' : 'Start another export'
  const isGoingOn = ['working', 'reconnecting', 'offline'].includes(status.dataset.state)
  deaths.hidden = !isGoingOn
  deaths.disabled = death !== ''
  outcome.textContent = isGoingOn ? death : ''
  file.hidden = true
}

start.addEventListener('click', async () => {
  problem.textContent = ''
  start.disabled = true
  try {
    const { id } = await postJson('/jobs', {})
    history.pushState(null, '', `?id=${id}`)
    follow()
  } catch (error) {
    problem.textContent = `Not started: ${error.message}`
  } finally {
    start.disabled = false
  }
})

deaths.addEventListener('click', async ({ target }) => {
  const { when } = target.dataset
  if (when === undefined) return
  const id = idOf(location)
  problem.textContent = ''
  try {
    await postJson(`/jobs/${encodeURIComponent(id)}/death`, { when })
    // It may have ended meanwhile, which is told already, or another one be shown.
    if (id !== idOf(location) || status.dataset.state in endings) return
    death =
      when === 'in its work'
        ? 'The worker has gone silent. The guardian asks after it when nothing has come for 3 seconds.'
        : 'The worker goes on to its last row, and will not say that it has finished.'
    update()
  } catch (error) {
    if (id === idOf(location)) problem.textContent = `Its worker was not told: ${error.message}`
  }
})

async function list() {
  clearTimeout(listing)
  const response = await fetch('/jobs').catch(() => undefined)
  // What is there stays until the server can say better.
  if (response?.ok) present(await response.json())
  // Of the others nothing tells this page how they end.
  const isOtherActive = mine.querySelector('[data-state=active] a:not([aria-current])') !== null
  clearTimeout(listing)
  if (isOtherActive) listing = setTimeout(list, listingMs)
}

function present(all) {
  const items = all.map(({ id, startedAt, state }) => {
    const isShown = id === idOf(location)
    if (isShown) detail.textContent = `Started at ${time.format(new Date(startedAt))}.`
    const link = document.createElement('a')
    link.href = `?id=${id}`
    link.textContent = time.format(new Date(startedAt))
    if (isShown) link.setAttribute('aria-current', 'page')
    const name = document.createElement('span')
    const item = document.createElement('li')
    // What is shown was told by the stream, which may be a moment ahead of the list.
    item.dataset.state = isShown && status.dataset.state in endings ? status.dataset.state : state
    name.textContent = states[item.dataset.state]
    item.append(link, name)
    return item
  })
  if (items.map(({ outerHTML }) => outerHTML).join('') === mine.innerHTML) return
  const { activeElement } = document
  const wasIn = mine.contains(activeElement)
  mine.replaceChildren(...items)
  // Whoever is in there with the keyboard stays there.
  if (wasIn)
    items.find(({ firstChild }) => firstChild.href === activeElement.href)?.firstChild.focus()
}

function idOf({ search }) {
  return new URLSearchParams(search).get('id')
}

addEventListener('popstate', follow)

// Other tabs have exports too.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void list()
})

follow()
