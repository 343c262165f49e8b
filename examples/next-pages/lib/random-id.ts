/** Two random characters per byte. `crypto.randomUUID` is missing where a page has no HTTPS. */
export function randomId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
