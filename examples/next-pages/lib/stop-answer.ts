import { reasonOf } from './post-message'

/**
 * Stops an answer for all who read it. What has become of it comes in its stream.
 *
 * @throws Error whose message says why it could not be stopped.
 */
export async function stopAnswer(id: string): Promise<void> {
  const response = await fetch(`/api/answers/${encodeURIComponent(id)}/stop`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
  })
  if (!response.ok) throw new Error(await reasonOf(response))
}
