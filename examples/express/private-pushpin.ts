import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { findProgram, PrivateProgram } from './private-program.js'

/** A Pushpin for nobody else, on ports of 127.0.0.1. */
export interface PrivatePushpin {
  /** Where it takes events, and its key, as `new EventStream({ grip })` has it. */
  readonly gripUrl: string
  /** Resolves when it has ended, by itself or by `stop`. */
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

export interface PushpinPorts {
  /** Where clients connect. */
  readonly port: number
  /** Where the server is that it passes requests on to. */
  readonly originPort: number
}

/** Hosts that it does not pass on to the server: a stream of its own, and its control port. */
const streamHost = 'stream.invalid'
const controlHost = 'control.invalid'

/**
 * @returns Once requests, and what is published, come through it.
 * @throws Error that says how to get Pushpin, where there is none.
 */
export async function startPushpin({ port, originPort }: PushpinPorts): Promise<PrivatePushpin> {
  const { path, version } = findProgram({
    name: 'pushpin',
    need: 'The page needs Pushpin (1.36 or later) to be served through it',
    variable: 'PUSHPIN_PATH',
  })
  // A short path, as those of Unix sockets, which are in there, have no more than about 100 characters.
  const folder = await mkdtemp(join(tmpdir(), 'headwater-'))
  const controlPort = await freePort()
  const key = randomBytes(16).toString('hex')
  // Later versions send requests to servers themselves.
  const zurl = /\b1\.36\./.test(version) ? ownZurl : { services: '', settings: '' }
  const config = `
    [global]
    include={libdir}/internal.conf
    rundir=${folder}/run
    ipc_prefix=p-
    [runner]
    services=condure,${zurl.services}pushpin-proxy,pushpin-handler
    http_port=127.0.0.1:${port}
    client_maxconn=10000
    log_level=1
    [proxy]
    routesfile=${folder}/routes
    sig_key=${key}
    updates_check=off
    ${zurl.settings}
    [handler]
    push_in_http_addr=127.0.0.1
    push_in_http_port=${controlPort}
    command_spec=ipc://{rundir}/{ipc_prefix}command
    stats_spec=ipc://{rundir}/{ipc_prefix}stats
    message_rate=2500
    message_hwm=25000
    id_cache_ttl=60`
  await writeFile(join(folder, 'pushpin.conf'), config.replace(/^ +/gm, ''))
  const routes = [
    `${streamHost} test`,
    `${controlHost} 127.0.0.1:${controlPort}`,
    `* 127.0.0.1:${originPort}\n`,
  ]
  await writeFile(join(folder, 'routes'), routes.join('\n'))
  const args = [`--config=${join(folder, 'pushpin.conf')}`, '--merge-output']
  const pushpin = new PrivateProgram(path, args, folder)
  await pushpin.ready(() => isReady(port, controlPort))
  return {
    gripUrl: `http://127.0.0.1:${controlPort}/?iss=pushpin&key=${key}`,
    ended: pushpin.ended,
    stop: () => pushpin.stop(),
  }
}

/** Debian's configuration asks a zurl that runs as a service of the system, where there may be none. */
const ownZurl = {
  services: 'zurl,',
  settings: `
    zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
    zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
    zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out`,
}

/**
 * That its ports are open is not enough: its processes may not have found each other yet, and what
 * they send then is lost, so that the first request would never be answered.
 */
async function isReady(port: number, controlPort: number): Promise<boolean> {
  const signal = AbortSignal.timeout(400)
  try {
    const { statusCode } = await get(port, controlHost, '/', signal)
    return statusCode === 200 && (await isDelivered(port, controlPort, signal))
  } catch {
    // It does not listen yet, or does not answer in time.
    return false
  }
}

async function isDelivered(
  port: number,
  controlPort: number,
  signal: AbortSignal,
): Promise<boolean> {
  const item = { channel: 'ready', formats: { 'http-stream': { content: 'it is ready' } } }
  const stream = await get(port, streamHost, `/stream?channel=${item.channel}`, signal)
  for await (const text of stream.setEncoding('utf8')) {
    if (text.includes('it is ready')) return true
    const publish = { method: 'POST', body: JSON.stringify({ items: [item] }), signal }
    await fetch(`http://127.0.0.1:${controlPort}/publish/`, publish)
  }
  return false
}

async function get(
  port: number,
  host: string,
  path: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const sent = request({ port, path, headers: { Host: host }, agent: false, signal })
  // One that comes after the response is told by the response too.
  sent.on('error', () => undefined)
  sent.end()
  const [response] = await once(sent, 'response')
  return response
}
