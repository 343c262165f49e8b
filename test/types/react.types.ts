// Checked by the compiler, not run: what users of the hooks may write, and what they may not.

import { expectTypeOf } from 'expect-type'
import { useEventStream, useResumableStream } from '../../src/react.js'

interface Said {
  readonly id: string
  readonly text: string
}

export function Room(): string {
  // Events by their names.
  const room = useEventStream<{ message: Said }>(null, { events: ['message'] })
  expectTypeOf(room.last?.json).toEqualTypeOf<Said | undefined>()
  expectTypeOf(room.state).toEqualTypeOf<undefined>()

  // What a component makes of them.
  const texts = useEventStream<{ message: Said; gone: { id: string } }, readonly Said[]>('/a', {
    initial: [],
    reduce: (all, event) =>
      event.type === 'message'
        ? [...all, event.json]
        : all.filter(({ id }) => id !== event.json.id),
    onReset: ({ reason }) => reason.trim(),
    headers: async () => ({ Authorization: 'a' }),
  })
  expectTypeOf(texts.state).toEqualTypeOf<readonly Said[]>()
  const counted = useEventStream(new URL('http://a'), { initial: 0, reduce: (count) => count + 1 })
  expectTypeOf(counted.state).toEqualTypeOf<number>()
  expectTypeOf(counted.error?.status).toEqualTypeOf<number | undefined>()

  // @ts-expect-error: no such event
  useEventStream<{ message: Said }>('/a', { events: ['tick'] })
  // @ts-expect-error: it closes when the component is unmounted
  useEventStream('/a', { signal: AbortSignal.abort() })
  // @ts-expect-error: status and error are what it renders
  useEventStream('/a', { onError: () => undefined })
  return room.status
}

export function Answer(): string {
  const answer = useResumableStream<{ tool: { name: string } }>('/a', {
    onEvent: ({ json }) => json.name.trim(),
  })
  expectTypeOf(answer.text).toEqualTypeOf<string>()
  expectTypeOf(answer.events[0]?.json.name).toEqualTypeOf<string | undefined>()
  expectTypeOf(answer.end?.state).toEqualTypeOf<
    'completed' | 'failed' | 'aborted' | 'orphaned' | undefined
  >()
  return answer.text
}
