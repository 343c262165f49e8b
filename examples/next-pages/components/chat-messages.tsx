import { useLayoutEffect, useRef } from 'react'
import type { ReceivedMessage } from '../lib/use-room'

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** The messages, each with the id of its event. */
export function ChatMessages({ messages }: { readonly messages: readonly ReceivedMessage[] }) {
  const list = useRef<HTMLOListElement>(null)
  const atEnd = useRef(true)

  // After each rendering: the list may have grown, or what is above it.
  useLayoutEffect(() => {
    if (atEnd.current) list.current?.scrollTo(0, list.current.scrollHeight)
  })

  return (
    <ol
      id="chat-messages"
      className="messages"
      aria-label="Messages"
      aria-live="polite"
      // A list that scrolls must be in reach of the keyboard.
      // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
      tabIndex={0}
      ref={list}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        atEnd.current = scrollHeight - scrollTop - clientHeight < 40
      }}
    >
      {messages.map((message) => (
        <MessageItem key={message.id} {...message} />
      ))}
    </ol>
  )
}

function MessageItem({ id, name, text, at }: ReceivedMessage) {
  return (
    <li>
      <b data-hue={hueOf(name)}>{name}</b>
      <time dateTime={new Date(at).toISOString()}>{time.format(at)}</time>
      <code className="id" title="Event id">
        {id}
      </code>
      <p>{text}</p>
    </li>
  )
}

function hueOf(name: string): number {
  return Array.from(name).reduce((sum, char) => sum + (char.codePointAt(0) ?? 0), 0) % 6
}
