// What people write by hand: a set of responses for each channel, and a loop.

const channels = new Map()
let lastId = 0

/** Makes a response a stream of a channel. */
export function listen(res, channel) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  res.flushHeaders()
  let responses = channels.get(channel)
  if (responses === undefined) {
    responses = new Set()
    channels.set(channel, responses)
  }
  responses.add(res)
  res.on('close', () => responses.delete(res))
}

export function publish(channel, data) {
  lastId += 1
  const text = `id: ${lastId}\nevent: message\ndata: ${JSON.stringify(data)}\n\n`
  for (const res of channels.get(String(channel)) ?? []) res.write(text)
}
