import { Activity, type ActivityProps, createElement, type ReactElement, StrictMode } from 'react'
import { type EventTypes, recoverFrom } from '../../src/client.js'
import {
  type EventStreamState,
  type ResumableStreamState,
  useEventStream,
  useResumableStream,
} from '../../src/react.js'

/** A component to render. */
export interface Subject {
  readonly hook: 'events' | 'answer'
  /** Where its notes are found. */
  readonly name: string
  readonly url: string | null
  readonly keep?: number
  readonly events?: readonly string[]
  readonly token?: string
  /** As what a page shows in another of its tabs. */
  readonly isHidden?: boolean
  readonly restartsOnReset?: boolean
  readonly stopUrl?: string
  readonly recoverUrl?: string
}

/** What a component has rendered, and what its callbacks were given. */
export interface Notes {
  renders: number
  current: EventStreamState<EventTypes, number> | ResumableStreamState
  /** The sum of the numbers that came, by `reduce`. */
  sum: number
  readonly heard: string[]
  /** By which token each of them was heard. */
  readonly tokens: (string | undefined)[]
  readonly resetReasons: string[]
  readonly ends: (string | undefined)[]
}

export const notesByName = new Map<string, Notes>()

function notesOf(name: string, current: Notes['current']): Notes {
  const fresh = { renders: 0, sum: 0, heard: [], tokens: [], resetReasons: [], ends: [] }
  const notes: Notes = notesByName.get(name) ?? { ...fresh, current }
  notesByName.set(name, notes)
  notes.renders += 1
  notes.current = current
  return notes
}

function Events({ name, url, keep, events, token, restartsOnReset }: Subject): ReactElement {
  const stream = useEventStream<EventTypes, number>(url, {
    ...{ keep, events, initial: 0 },
    headers: () => ({ Authorization: token ?? 'none' }),
    reduce: (sum, { json }) => sum + Number(json),
    onEvent: ({ data }) => {
      notes.heard.push(data)
      notes.tokens.push(token)
    },
    onReset: ({ reason }) => {
      notes.resetReasons.push(reason)
      if (restartsOnReset) stream.restart()
    },
  })
  const notes = notesOf(name, stream)
  notes.sum = stream.state
  return createElement('p', null, `${name} ${stream.status} ${stream.events.length}`)
}

function Answer({ name, url, stopUrl, recoverUrl }: Subject): ReactElement {
  const answer = useResumableStream(url, {
    ...{ stopUrl, recover: recoverUrl === undefined ? undefined : recoverFrom(recoverUrl) },
    headers: { Authorization: 'mine' },
    onEvent: ({ data }) => notes.heard.push(data),
    onEnd: ({ state }) => notes.ends.push(state),
  })
  const notes = notesOf(name, answer)
  return createElement('p', null, `${answer.status} ${answer.text}`)
}

export function App({ subjects }: { readonly subjects: readonly Subject[] }): ReactElement {
  const components = subjects.map((subject) => {
    const { name: key, hook, isHidden } = subject
    const component = createElement(hook === 'events' ? Events : Answer, { key, ...subject })
    if (isHidden === undefined) return component
    const part: ActivityProps = { mode: isHidden ? 'hidden' : 'visible', children: component }
    return createElement(Activity, { key, ...part })
  })
  return createElement(StrictMode, null, components)
}
