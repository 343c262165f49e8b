// A Pushpin for the benchmark alone, on ports and in a folder of its own.

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram } from './find-program.mjs'
import { freePort } from './free-port.mjs'
import { startProgram } from './processes.mjs'

const { path: program, version } = findProgram('pushpin', /(\d+(?:\.\d+)+)/)

/** Such as `1.36.0`; undefined where it is not installed. */
export const pushpinVersion = version

const key = 'changeme'
const testHost = 'test.invalid'
const controlHost = 'control.invalid'
const readyTimeoutMs = 10_000
const maxStarts = 3

/** Up to 1.36 it sends requests by the program zurl, where Debian's configuration names another one. */
const zurl = version?.startsWith('1.36.')
  ? `
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out`
  : ''

/**
 * As the configuration that it comes with, but for the ports, and for `message_rate`: no limit. Clients
 * that have gone count for a while in what `client_maxconn` makes room for, and 1.36 ends by itself
 * (`Assertion id >= 0`) when there is none.
 */
function configuration(folder, port, controlPort) {
  return `[global]
include={libdir}/internal.conf
rundir=${join(folder, 'run')}
ipc_prefix=p-

[runner]
services=condure,${zurl && 'zurl,'}pushpin-proxy,pushpin-handler
http_port=127.0.0.1:${port}
client_maxconn=20000

[proxy]
routesfile=${join(folder, 'routes')}
sig_key=${key}
updates_check=off${zurl}

[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=${controlPort}
stats_spec=ipc://{rundir}/{ipc_prefix}stats
command_spec=ipc://{rundir}/{ipc_prefix}command
message_hwm=25000
message_wait=5000
id_cache_ttl=60
`
}

/** Elsewhere, when another process has taken one of the ports that were free. */
export async function startPushpin() {
  for (let starts = 1; ; starts++) {
    try {
      return await start()
    } catch (error) {
      if (starts === maxStarts) throw error
    }
  }
}

async function start() {
  // A short path, as those of its Unix sockets are in there, which may have about 100 characters.
  const folder = mkdtempSync(join(tmpdir(), 'bench-pp-'))
  // While it ends, it removes files there too.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  process.on('exit', remove)
  const [port, controlPort, originPort] = [await freePort(), await freePort(), await freePort()]
  const routes = [
    // Pushpin answers this one itself, and its control port the next one.
    `${testHost} test`,
    `${controlHost} 127.0.0.1:${controlPort}`,
    `* 127.0.0.1:${originPort}`,
  ]
  writeFileSync(join(folder, 'routes'), `${routes.join('\n')}\n`)
  const config = join(folder, 'pushpin.conf')
  writeFileSync(config, configuration(folder, port, controlPort))
  let isStarting = true
  const server = startProgram(program, [`--config=${config}`, '--merge-output'], () => isStarting)
  const stop = async () => {
    await server.stop()
    process.off('exit', remove)
    remove()
  }
  try {
    await isReady(server, port, controlPort)
  } catch (error) {
    await stop()
    throw error
  }
  isStarting = false

  return {
    /** Where clients connect. */
    port,
    /** Where it expects the server. */
    originPort,
    /** Where servers publish. */
    gripUrl: `http://127.0.0.1:${controlPort}/?iss=pushpin&key=${key}`,
    stop,
  }
}

/**
 * That its ports are open is not enough: until its processes have found each other, requests are never
 * answered, and what is published is lost.
 */
async function isReady(server, port, controlPort) {
  const deadline = performance.now() + readyTimeoutMs
  for (;;) {
    const signal = AbortSignal.timeout(400)
    try {
      await Promise.all([proxies(port, signal), delivers(port, controlPort, signal)])
      return
    } catch (error) {
      if (server.hasEnded() || performance.now() > deadline) throw error
    }
    await delay(20)
  }
}

async function proxies(port, signal) {
  const response = await get(port, '/', controlHost, signal)
  if (response.statusCode !== 200) throw new Error(`Pushpin answered with ${response.statusCode}.`)
  await response.resume().toArray()
}

async function delivers(port, controlPort, signal) {
  const channel = `ready-${performance.now()}`
  const item = { channel, formats: { 'http-stream': { content: 'ready' } } }
  const body = JSON.stringify({ items: [item] })
  const response = await get(port, `/stream?channel=${channel}`, testHost, signal)
  for await (const text of response.setEncoding('utf8')) {
    if (text.includes('ready')) return
    await fetch(`http://127.0.0.1:${controlPort}/publish/`, { method: 'POST', body, signal })
  }
  throw new Error('The stream of Pushpin ended.')
}

async function get(port, path, host, signal) {
  const url = `http://127.0.0.1:${port}${path}`
  const sent = request(url, { headers: { Host: host }, agent: false, signal })
  // One that comes after the response is told by the response too.
  sent.on('error', () => undefined)
  sent.end()
  const [response] = await once(sent, 'response')
  return response
}
