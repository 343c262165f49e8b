/**
 * What the status page does: asks for its data now and then, and shows it. All that comes is set as text,
 * since channel names are anybody's.
 */
export const statusPageScript = `
'use strict'
{
  const pollMs = Number(document.body.dataset.pollMs)
  // A guard may want what else is in the query.
  const dataUrl = location.search === '' ? '?data' : location.search + '&data'
  const byId = (id) => document.getElementById(id)
  const whole = new Intl.NumberFormat('en')
  const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

  const compact = (value) => (value < 10_000 ? whole.format(value) : short.format(value))
  const rate = (value) => (value < 100 ? whole.format(Math.round(value * 10) / 10) : compact(Math.round(value)))

  function bytes(value) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB']
    let unit = 0
    while (value >= 1000 && unit < units.length - 1) {
      value /= 1000
      unit += 1
    }
    return (unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)) + ' ' + units[unit]
  }

  function duration(ms) {
    const seconds = Math.max(0, Math.round(ms / 1000))
    const minutes = Math.floor(seconds / 60)
    const hours = Math.floor(minutes / 60)
    if (minutes === 0) return seconds + ' s'
    if (hours === 0) return minutes + ' min'
    if (hours < 48) return hours + ' h ' + (minutes % 60) + ' min'
    return Math.floor(hours / 24) + ' days'
  }

  function text(element, value) {
    if (element.textContent !== value) element.textContent = value
  }

  function make(name, value, attributes = {}) {
    const element = document.createElement(name)
    if (value !== undefined) element.textContent = value
    for (const [key, one] of Object.entries(attributes)) element.setAttribute(key, one)
    return element
  }

  /** Rows of a name and a number; those that stand for trouble are marked. */
  function facts(id, rows) {
    const divs = rows.map(([name, value, isTrouble]) => {
      const div = make('div')
      div.append(make('dt', name), make('dd', value, isTrouble ? { 'data-state': 'warn' } : {}))
      return div
    })
    byId(id).replaceChildren(...divs)
  }

  const charts = [
    { id: 'connections', format: compact },
    { id: 'published', format: rate },
    { id: 'deliveries', format: rate },
    { id: 'bytes', format: (value) => bytes(value) + '/s' },
    { id: 'resets', format: compact, isSum: true },
  ]

  /** Steps of the time that is shown. */
  const steps = 120
  const width = 300
  const height = 64

  function chart({ id, format, isSum }, { history, metrics }) {
    const values = history[id]
    const most = Math.max(0, ...values)
    const first = steps - values.length
    const point = (value, i) =>
      ((first + i) * width / (steps - 1)).toFixed(1) + ' ' + (height - 2 - value / (most || 1) * (height - 4)).toFixed(1)
    const line = values.length < 2 ? '' : 'M' + values.map(point).join('L')
    const start = first * width / (steps - 1)
    const shapes = line === '' ? [] : [
      ['area', line + 'V' + height + 'H' + start.toFixed(1) + 'Z'],
      ['line', line],
    ]
    const svg = byId(id + '-chart')
    svg.replaceChildren(...shapes.map(([name, d]) => {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      path.setAttribute('class', name)
      path.setAttribute('d', d)
      return path
    }))
    let now = values.at(-1) ?? 0
    if (id === 'connections') now = metrics.connections.open
    if (isSum) now = values.reduce((sum, value) => sum + value, 0)
    const minutes = duration(steps * history.stepMs)
    const figure = byId(id + '-now')
    text(figure, format(now))
    figure.parentElement.dataset.state = id === 'resets' && now > 0 ? 'warn' : ''
    text(byId(id + '-most'), isSum ? 'in this time' : 'at most ' + format(most))
    svg.parentElement.querySelector('.from').textContent = 'last ' + minutes
    svg.setAttribute('aria-label', 'Over the last ' + minutes + ': now ' + format(now) + ', at most ' + format(most))
  }

  function showStatus({ status, parts }) {
    const isDegraded = status === 'ok' && parts.some(({ state }) => state !== 'up')
    const words = { ok: 'Healthy', degraded: 'A proxy is down', closing: 'Closing', unavailable: 'Log unavailable' }
    const state = isDegraded ? 'degraded' : status
    const pill = byId('status')
    pill.dataset.state = state
    text(pill, words[state] ?? state)
  }

  function showParts({ at, parts }) {
    byId('parts').replaceChildren(...parts.map(({ name, state, since, reason, queuedBytes }) => {
      const item = make('li', undefined, { 'data-state': state })
      const waiting = queuedBytes > 0 ? ', ' + bytes(queuedBytes) + ' waiting' : ''
      item.append(
        make('span', undefined, { class: 'dot' }),
        make('span', name, { class: 'name' }),
        make('span', state + ' for ' + duration(at - since) + waiting, { class: 'quiet' }),
      )
      if (reason !== '') item.append(make('span', reason, { class: 'why quiet' }))
      return item
    }))
  }

  function showChannels({ channels, otherChannels, metrics }) {
    text(byId('channel-count'), whole.format(metrics.channels) + ' followed')
    const rows = channels.map(([name, connections, kind]) => {
      const row = make('tr')
      const shown = kind === 'stream' ? name + ' (stream)' : name
      row.append(make('td', shown), make('td', whole.format(connections), { class: 'number' }))
      return row
    })
    if (rows.length === 0) {
      const row = make('tr')
      row.append(make('td', 'Nobody listens to any channel.', { class: 'quiet', colspan: '2' }))
      rows.push(row)
    }
    byId('channels').replaceChildren(...rows)
    const others = byId('other-channels')
    others.hidden = otherChannels === 0
    text(others, 'and ' + whole.format(otherChannels) + ' more')
  }

  function showStreams({ streams, metrics }) {
    const none = byId('no-streams')
    const isKnown = streams !== null && streams !== 'unknown'
    none.hidden = isKnown
    byId('all-streams').hidden = !isKnown
    text(none, streams === null ? 'No registry of streams is kept.' : 'The registry does not answer.')
    facts('streams', !isKnown ? [] : [
      ['Active', whole.format(streams.active)],
      ['Silent', whole.format(streams.silent), streams.silent > 0],
      ['Completed', whole.format(streams.completed)],
      ['Failed', whole.format(streams.failed)],
      ['Aborted', whole.format(streams.aborted)],
      ['Orphaned', whole.format(streams.orphaned), streams.orphaned > 0],
      ['Longest silence', streams.longestSilenceMs === undefined ? '–' : duration(streams.longestSilenceMs)],
    ])
    const { started, ended, events } = metrics.streams
    const over = Object.values(ended).reduce((sum, count) => sum + count, 0)
    facts('own-streams', [
      ['Running', whole.format(started - over)],
      ['Completed', compact(ended.completed)],
      ['Failed', compact(ended.failed), ended.failed > 0],
      ['Aborted', compact(ended.aborted)],
      ['Orphaned', compact(ended.orphaned), ended.orphaned > 0],
      ['Events', compact(events)],
    ])
    const { rounds, checks, checkFailures, orphaned, completed } = metrics.guardian
    facts('guardian', rounds === 0 ? [['Rounds', 'none']] : [
      ['Rounds', compact(rounds)],
      ['Checks', compact(checks)],
      ['Failed checks', compact(checkFailures), checkFailures > 0],
      ['Found orphaned', compact(orphaned)],
      ['Found completed', compact(completed)],
    ])
  }

  /** The upper bound of the bucket that so many of a hundred are within. */
  function within(share, { count, counts, boundsMs }) {
    if (count === 0) return '–'
    let sum = 0
    const index = counts.findIndex((inBucket) => (sum += inBucket) >= count * share)
    const bound = boundsMs[index]
    return bound === undefined ? '> ' + boundsMs.at(-1) / 1000 + ' s' : '≤ ' + bound + ' ms'
  }

  function showTotals({ at, metrics }) {
    const { connections, publishing, replays, resets, errors, deliveries, since } = metrics
    text(byId('since'), duration(at - Date.parse(since)))
    const { closed, sentAway } = connections
    const away = sentAway.admission + sentAway.closing + sentAway.unavailable
    facts('closed', [
      ['Opened', compact(connections.opened)],
      ['Left by the client', compact(closed.client)],
      ['Ended by the server', compact(closed.server + closed.over)],
      ['Kicked', compact(closed.kick)],
      ['Stalled', compact(closed.stall), closed.stall > 0],
      ['Cut by a timeout', compact(closed.timeout), closed.timeout > 0],
      ['Failed', compact(closed.failed), closed.failed > 0],
      ['Sent away', compact(away), away > 0],
    ])
    facts('publishing', [
      ['Events', compact(publishing.events)],
      ['Deliveries', compact(deliveries.events)],
      ['Latency, p50', within(0.5, publishing.latency)],
      ['Latency, p99', within(0.99, publishing.latency)],
      ['Failures', compact(publishing.failures), publishing.failures > 0],
      ['Relayed to proxies', compact(publishing.relayed)],
    ])
    facts('catching-up', [
      ['Replays', compact(replays.started)],
      ['Events replayed', compact(replays.events)],
      ['Resets: trimmed', compact(resets.trimmed), resets.trimmed > 0],
      ['Resets: unknown', compact(resets.unknown), resets.unknown > 0],
      ['Resets: invalid', compact(resets.invalid), resets.invalid > 0],
    ])
    facts('errors', [
      ['Log', compact(errors.log), errors.log > 0],
      ['Proxies', compact(errors.proxy), errors.proxy > 0],
      ['Unreadable in the store', compact(errors.unreadable), errors.unreadable > 0],
    ])
  }

  function show(data) {
    const { connections, since } = data.metrics
    text(byId('process'), data.process + ', since ' + day.format(new Date(since)))
    showStatus(data)
    for (const one of charts) chart(one, data)
    const behind = byId('behind')
    text(behind, compact(connections.behind))
    behind.parentElement.dataset.state = connections.behind > 0 ? 'warn' : ''
    facts('slow', [
      ['Waiting in memory', bytes(connections.queuedBytes)],
      ['Fell behind', compact(connections.fellBehind)],
    ])
    showChannels(data)
    showParts(data)
    showStreams(data)
    showTotals(data)
  }

  let shownAt

  function showAway(why) {
    const pill = byId('status')
    pill.dataset.state = 'away'
    text(pill, 'Not connected')
    const old = shownAt === undefined ? '' : ' What is shown is from ' + clock.format(shownAt) + '.'
    const notice = byId('notice')
    text(notice, why + old)
    notice.hidden = false
    byId('main').classList.add('stale')
  }

  async function ask() {
    let response
    try {
      response = await fetch(dataUrl, { cache: 'no-store', signal: AbortSignal.timeout(10_000) })
    } catch {
      return showAway('The server cannot be reached.')
    }
    const isData = response.ok && (response.headers.get('Content-Type') ?? '').startsWith('application/json')
    if (!isData) return showAway('The server answered ' + response.status + ' without data: sign in again?')
    try {
      show(await response.json())
    } catch (error) {
      return showAway('What the server answered cannot be shown: ' + error + '.')
    }
    shownAt = new Date()
    byId('notice').hidden = true
    byId('main').classList.remove('stale')
  }

  async function poll() {
    // Nobody looks at a page in the background.
    if (!document.hidden) await ask()
    setTimeout(poll, pollMs)
  }

  poll()
}
`
