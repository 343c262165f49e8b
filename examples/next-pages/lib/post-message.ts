import { randomId } from './random-id'

const retryDelaysMs = [500, 1000, 2000, 4000]

/**
 * Posts until the server has answered: the key makes sure that it publishes only once.
 *
 * @throws Error whose message says why the server refused, or that it cannot be reached.
 */
export async function postMessage(room: string, name: string, text: string): Promise<void> {
  const request = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomId(16) },
    body: JSON.stringify({ name, text }),
  }
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(`/api/rooms/${room}/messages`, request).catch((error) => {
      if (attempt === retryDelaysMs.length) throw error
    })
    if (response?.ok) return
    // A proxy that does not reach the server answers in its place.
    const mayPass = response === undefined || [502, 503, 504].includes(response.status)
    if (response !== undefined && !(mayPass && attempt < retryDelaysMs.length)) {
      throw new Error(await reasonOf(response))
    }
    await new Promise((resolve) => setTimeout(resolve, retryDelaysMs[attempt]))
  }
}

/** Why a request was refused. Next.js answers some requests itself, and not in JSON. */
export async function reasonOf(response: Response): Promise<string> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return isJson ? JSON.parse(text).error : text
}
