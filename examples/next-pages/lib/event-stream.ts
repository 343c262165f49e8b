import { getEventStreamSingleton } from 'headwater'

// In development each API route gets a copy of this module when it is edited: a `new EventStream()`
// here would then publish to nobody.
export const eventStream = getEventStreamSingleton({
  grip: process.env.GRIP_URL || undefined,
  gripLinkPath: '/api/grip-links',
})
