import type { ReceivedMessage } from '../lib/room'
import { useStickToEnd } from '../lib/use-stick-to-end'

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** The messages, each with the id of its event. */
export function ChatMessages({ messages }: { readonly messages: readonly ReceivedMessage[] }) {
  const stick = useStickToEnd<HTMLOListElement>()
  return (
    <ol
      id="chat-messages"
      className="messages"
      aria-label="Messages"
      aria-live="polite"
      // A list that scrolls must be in reach of the keyboard.
      // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
      tabIndex={0}
      {...stick}
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
