const tickMs = 200

/**
 * Shows how a page is connected, and how often it had to come back. The words are read aloud; the seconds that
 * count down are not, as nobody wants to hear each of them.
 *
 * @param reconnect - What to do for somebody who does not want to wait.
 */
export function createConnectionView(reconnect) {
  const status = document.querySelector('#status')
  const text = document.querySelector('#status-text')
  const wait = document.querySelector('#status-wait')
  const button = document.querySelector('#status-button')
  const reconnects = document.querySelector('#reconnects')

  let count = 0
  let lostAt
  /** When the next try is; NaN where nobody knows. */
  let retryAt
  let timer

  function show(state, what, action) {
    clearInterval(timer)
    lostAt = undefined
    present(state, what, action)
    wait.textContent = ''
  }

  function present(state, what, action) {
    status.dataset.state = state
    // Words that are set again are read aloud again.
    if (text.textContent !== what) text.textContent = what
    // Whoever has just pressed it goes on from here, and not from the beginning of the page.
    if (action === undefined && document.activeElement === button) status.focus()
    button.hidden = action === undefined
    if (action !== undefined) button.textContent = action
  }

  function presentAway() {
    const { onLine } = navigator
    if (onLine) present('reconnecting', 'Reconnecting', 'Now')
    else present('offline', 'Offline: waiting', 'Now')
    const seconds = Math.ceil((retryAt - performance.now()) / 1000)
    // Past that time a request is under way.
    const left = seconds > 0 ? `in ${seconds} s` : '…'
    wait.textContent = onLine ? left : ''
  }

  button.addEventListener('click', () => {
    retryAt = Number.NaN
    if (lostAt === undefined) show('connecting', 'Connecting')
    else presentAway()
    reconnect()
  })

  return {
    /** @param what - What there is to say. */
    show: (state, what) => show(state, what),
    /** It will not come back by itself. */
    ended: (what) => show('ended', what, 'Try again'),
    /** @param retryInMs - Milliseconds until the next try, where that is known. */
    lost(retryInMs = Number.NaN) {
      lostAt ??= performance.now()
      retryAt = performance.now() + retryInMs
      clearInterval(timer)
      // It looks at the network too.
      timer = setInterval(presentAway, tickMs)
      presentAway()
    },
    /** @returns How many milliseconds it was away; undefined when it was not. */
    opened(state, what) {
      const awayMs = lostAt === undefined ? undefined : performance.now() - lostAt
      show(state, what)
      if (awayMs === undefined) return undefined
      count += 1
      const times = count === 1 ? 'once,' : `${count} times, last`
      reconnects.textContent = `Reconnected ${times} after ${(awayMs / 1000).toFixed(2)} s`
      return awayMs
    },
  }
}
