import Head from 'next/head'
import Link from 'next/link'
import { type Room, useRoom } from '../lib/use-room'
import { ChatForm } from './chat-form'
import { ChatMessages } from './chat-messages'

const rooms = ['lobby', 'tea', 'coffee']

export interface ChatRoomProps {
  readonly name: string
  /** What the visitor is called at first. */
  readonly guest: string
}

/** A room: what is said in it, a form to say something, and how the connection does. */
export function ChatRoom({ name, guest }: ChatRoomProps) {
  const [room, noticeReset] = useRoom(name)
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
        <p id="status" className="status" role="status" data-state={room.state}>
          {describeState(room)}
        </p>
      </header>
      {room.resetReason !== undefined && (
        <div id="note" className="note" role="alert">
          <p>
            The server no longer has what this page missed, so the page started over with what the
            server has. It was told so by <code>stream-reset</code>: {room.resetReason}.
          </p>
          <button id="note-close" type="button" className="plain" onClick={noticeReset}>
            Dismiss
          </button>
        </div>
      )}
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
                  href={`/rooms/${other}`}
                  aria-current={other === name ? 'page' : undefined}
                >
                  {other}
                </Link>
              ))}
              <a href={`/rooms/${name}`} target="_blank" rel="noreferrer">
                Second page
              </a>
            </nav>
          </div>
          <ChatMessages messages={room.messages} />
          <ChatForm room={name} guest={guest} />
        </section>
      </main>
    </>
  )
}

function describeState({ state, awayMs }: Room): string {
  if (state === 'connecting') return 'Connecting'
  if (state === 'away') return 'Connection lost, coming back'
  return awayMs === undefined ? 'Live' : `Live again after ${(awayMs / 1000).toFixed(1)} s`
}
