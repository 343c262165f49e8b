import { getEventStreamSingleton } from 'headwater'

// In development each API route has a copy of this module, and another one whenever it is edited:
// a `new EventStream()` here would publish to nobody.
export const eventStream = getEventStreamSingleton()
