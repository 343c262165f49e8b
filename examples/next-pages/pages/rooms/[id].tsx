import { randomInt } from 'node:crypto'
import type { GetServerSideProps } from 'next'
import { ChatRoom, type ChatRoomProps } from '../../components/chat-room'
import { isId } from '../../lib/message'

export const getServerSideProps: GetServerSideProps<ChatRoomProps> = async ({ params }) => {
  const name = params?.id
  if (!isId(name)) return { notFound: true }
  // Chosen here, so that the server's rendering and the browser's are the same.
  return { props: { name, guest: `Guest ${randomInt(100, 1000)}` } }
}

export default function RoomPage(props: ChatRoomProps) {
  // With a key, another room is another component, which starts with no messages.
  return <ChatRoom key={props.name} {...props} />
}
