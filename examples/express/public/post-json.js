/**
 * Posts once.
 *
 * @returns What was answered.
 * @throws Error whose message says why it was refused, and whose `passes` whether another try may do.
 */
export async function postJson(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  }).catch((cause) => {
    throw Object.assign(new Error(cause.message), { passes: true })
  })
  const text = await response.text()
  if (response.ok) return JSON.parse(text)
  // A proxy that does not reach the server answers in its place, and not in JSON.
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const reason = isJson ? JSON.parse(text).error : text
  throw Object.assign(new Error(reason), { passes: [502, 503, 504].includes(response.status) })
}
