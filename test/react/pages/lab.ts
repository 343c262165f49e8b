// Runs in pages.

import { createElement } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { App, notesByName, type Subject } from '../components.js'

// What it uses of the DOM. The whole library of types would be there for src too.
declare const document: { getElementById(id: string): Parameters<typeof createRoot>[0] }

let root: Root | undefined

/** What tests call, by `page.evaluate`. */
const lab = {
  render(subjects: readonly Subject[]) {
    root ??= createRoot(document.getElementById('root'))
    root.render(createElement(App, { subjects }))
  },

  hydrate(subjects: readonly Subject[]) {
    root = hydrateRoot(document.getElementById('root'), createElement(App, { subjects }))
  },

  async call(name: string, method: string) {
    const current = notesByName.get(name)?.current as unknown as { [name: string]: () => unknown }
    return current[method]?.()
  },

  /** What can be sent to the test. */
  look(name: string) {
    const noted = notesByName.get(name)
    if (noted === undefined) return undefined
    const { current, ...rest } = noted
    const { error, events, ...state } = current
    return {
      ...rest,
      ...JSON.parse(JSON.stringify(state)),
      events: events.map(({ type, data }) => `${type} ${data}`),
      error: error && { code: error.code, status: error.status },
    }
  },
}

Object.assign(globalThis, { lab })
