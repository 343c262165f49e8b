import { eventStream } from '../../../lib/event-stream'

export default eventStream('room-{id}', { startFrom: { last: 50 } })
