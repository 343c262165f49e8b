import type { ServerResponse } from 'node:http'

/** What every answer has that is no stream: there are caches that keep an answer which does not forbid it. */
export const noStore = { 'Cache-Control': 'no-store' } as const

/** What caches follow rather than `Cache-Control`. */
const overruling =
  /^(?:.*cdn-cache-control|edge-control|expires|surrogate-control|x-accel-expires)$/i

/** What the application says of all its answers, by responses that it has said it of. */
const saidByApplication = new WeakMap<ServerResponse, string>()

/** Forbids caches to give the answer to others, whatever the application says of all its answers. */
export function forbidStore(res: ServerResponse): void {
  for (const name of res.getHeaderNames()) if (overruling.test(name)) res.removeHeader(name)
  const said = res.getHeader('Cache-Control')
  if (said !== undefined) saidByApplication.set(res, String(said))
  if (!/\bno-store\b/i.test(String(said))) res.setHeader('Cache-Control', noStore['Cache-Control'])
}

/** What the application says of a stream, where no cache may give it to others. */
export function saidOfStream(res: ServerResponse): string | undefined {
  const said = saidByApplication.get(res) ?? ''
  return /\b(?:no-store|no-cache|private)\b/i.test(said) ? said : undefined
}

/** Says what an answer depends on, for caches that keep what they are forbidden to. */
export function addVary(res: ServerResponse, names: string): void {
  const said = [res.getHeader('Vary') ?? []].flat().join(', ')
  const words = said.toLowerCase().split(/,\s*/)
  const missing = names
    .split(', ')
    .filter((name) => name !== '' && !words.includes(name.toLowerCase()))
  if (missing.length === 0 || words.includes('*')) return
  res.setHeader('Vary', [said, ...missing].filter(Boolean).join(', '))
}

/**
 * Forbids caches to keep an answer that somebody else gives in our place. Koa takes all headers away before it answers
 * an error, and others put those of the error in their place: so it is looked at once more as the head goes out.
 */
export function forbidStoreByOthers(res: ServerResponse): void {
  const { writeHead } = res
  const varied = [res.getHeader('Vary') ?? []].flat().join(', ')
  res.writeHead = function forbidden(this: ServerResponse, ...args: unknown[]) {
    this.writeHead = writeHead
    if (!this.hasHeader('Cache-Control')) forbidStore(this)
    addVary(this, varied)
    return Reflect.apply(writeHead, this, args)
  } as ServerResponse['writeHead']
}
