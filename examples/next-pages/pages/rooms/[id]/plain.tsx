import { ChatRoom } from '../../../components/chat-room'
import { getRoomProps, type RoomProps } from '../../../lib/room-props'
import { useRoomPlain } from '../../../lib/use-room-plain'

export const getServerSideProps = getRoomProps

/** The same room, followed without the library. */
export default function PlainRoomPage(props: RoomProps) {
  return <PlainRoom key={props.name} {...props} />
}

function PlainRoom(props: RoomProps) {
  return <ChatRoom {...props} isPlain room={useRoomPlain(props.name)} />
}
