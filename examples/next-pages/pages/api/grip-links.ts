import { eventStream } from '../../lib/event-stream'

/** Where the proxy asks for what its clients missed. */
export default eventStream.linkHandler()
