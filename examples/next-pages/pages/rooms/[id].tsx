import { ChatRoom } from '../../components/chat-room'
import { getRoomProps, type RoomProps } from '../../lib/room-props'
import { useRoom } from '../../lib/use-room'

export const getServerSideProps = getRoomProps

export default function RoomPage(props: RoomProps) {
  // With a key, another room is another component, which starts with no messages.
  return <FollowedRoom key={props.name} {...props} />
}

function FollowedRoom(props: RoomProps) {
  return <ChatRoom {...props} room={useRoom(props.name)} />
}
