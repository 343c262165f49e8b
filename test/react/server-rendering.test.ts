import { describe, expect, jest, test } from '@jest/globals'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { useEventStream } from '../../src/react.js'
import { countTimers } from '../support/count-timers.js'
import { App } from './components.js'

function Wrong() {
  useEventStream('/events', { keep: -1 })
  return null
}

describe('hooks on a server', () => {
  test('render a stream that connects, and ask for nothing', () => {
    const fetch = jest.spyOn(globalThis, 'fetch')
    const timers = countTimers()
    try {
      const markup = renderToString(
        createElement(App, {
          subjects: [
            { hook: 'events', name: 'one', url: '/events' },
            { hook: 'events', name: 'none', url: null },
            { hook: 'answer', name: 'answer', url: '/answers/1' },
          ],
        }),
      )

      expect(markup).toBe('<p>one connecting 0</p><p>none idle 0</p><p>connecting </p>')
      expect(fetch).not.toHaveBeenCalled()
      expect(timers.alive).toBe(0)
    } finally {
      timers.stop()
      fetch.mockRestore()
    }
  })

  test('refuse what cannot work', () => {
    const render = () => renderToString(createElement(Wrong))

    expect(render).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }))
  })
})
