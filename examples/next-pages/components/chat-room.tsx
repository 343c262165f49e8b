import Head from 'next/head'
import Link from 'next/link'
import type { Room } from '../lib/room'
import type { RoomProps } from '../lib/room-props'
import { ChatForm } from './chat-form'
import { ChatMessages } from './chat-messages'
import { ConnectionStatus } from './connection-status'
import { Note } from './note'

const rooms = ['lobby', 'tea', 'coffee']

const labels: Readonly<Record<Room['state'], string>> = {
  connecting: 'Connecting',
  live: 'Live',
  away: 'Reconnecting',
  ended: 'Ended',
  failed: 'Failed',
}

export interface ChatRoomProps extends RoomProps {
  readonly room: Room
  /** Whether it is the page with a plain `EventSource`. */
  readonly isPlain?: boolean
}

/** A room: what is said in it, a form to say something, and how the connection does. */
export function ChatRoom({ name, guest, room, isPlain = false }: ChatRoomProps) {
  const { state, error, retryInMs } = room
  return (
    <>
      <Head>
        <title>{`${name} · headwater`}</title>
      </Head>
      <header className="top">
        <div>
          <h1>headwater</h1>
          <p className="tagline">
            <span>Server-sent events that never lose an event.</span>{' '}
            <Link href="/ask">Ask for a long answer</Link>
          </p>
        </div>
        <ConnectionStatus state={state} label={labels[state]} error={error} retryInMs={retryInMs} />
      </header>
      <Note>{describeReset(room)}</Note>
      <main>
        <section className="chat" aria-labelledby="chat-title">
          <div className="heading">
            <h2 id="chat-title">
              Room <span id="room">{name}</span>
            </h2>
            <nav className="rooms" aria-label="Rooms">
              {rooms.map((other) => (
                <Link
                  key={other}
                  href={addressOf(other, isPlain)}
                  aria-current={other === name ? 'page' : undefined}
                >
                  {other}
                </Link>
              ))}
              <a href={addressOf(name, isPlain)} target="_blank" rel="noreferrer">
                Second page
              </a>
              <Link id="variant" href={addressOf(name, !isPlain)}>
                {isPlain ? 'With the hook' : 'With plain EventSource'}
              </Link>
            </nav>
          </div>
          <ChatMessages messages={room.messages} />
          <ChatForm room={name} guest={guest} />
        </section>
      </main>
    </>
  )
}

function addressOf(name: string, isPlain: boolean): string {
  return isPlain ? `/rooms/${name}/plain` : `/rooms/${name}`
}

function describeReset({ resetReason, noticeReset }: Room) {
  if (resetReason === undefined) return null
  return (
    <>
      <p>
        Some messages are missing:{' '}
        {resetReason === 'trimmed' ? 'older than what is kept' : 'the server no longer has them'}.
        The page started over with what the server has. It was told so by <code>stream-reset</code>:{' '}
        {resetReason}.
      </p>
      <button id="note-close" type="button" className="plain" onClick={noticeReset}>
        Dismiss
      </button>
    </>
  )
}
