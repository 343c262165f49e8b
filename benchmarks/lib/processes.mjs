// Starts servers and load clients, each in a process and, where possible, on a CPU of its own.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { countInstructions } from './instructions.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** The CPUs that this process may use. */
function allowedCpus() {
  try {
    const [, list] = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    return list.split(',').flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    })
  } catch {
    return []
  }
}

const cpus = allowedCpus()
const canPin = cpus.length > 1 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0
/** Undefined where processes cannot be pinned. */
export const serverCpu = canPin ? cpus.at(-1) : undefined
export const clientCpu = canPin ? cpus.at(-2) : undefined

function pin(pid, cpu) {
  if (cpu !== undefined) spawnSync('taskset', ['-acp', `${cpu}`, `${pid}`], { stdio: 'ignore' })
}

const running = new Set()
process.on('exit', () => {
  // Not SIGKILL: a server may have a process of its own to end.
  for (const child of running) child.kill('SIGTERM')
})
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

/** Ends this process when one of its own ends unasked: the figures would mean nothing. */
function watch(child, name, mayEnd = () => false) {
  running.add(child)
  child.on('exit', (code, signal) => {
    if (!running.delete(child) || mayEnd()) return
    console.error(`${name} ended by itself (${code ?? signal}).`)
    process.exit(1)
  })
}

function end(child) {
  if (!running.delete(child)) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  return gone
}

/**
 * Starts a program that has nothing to say, on the CPU that clients have.
 *
 * @param mayEnd - Whether it may end by itself now.
 * @param options - Those of `spawn`.
 */
export function startProgram(program, args, mayEnd, options = {}) {
  const child = spawn(program, args, { stdio: 'ignore', ...options })
  watch(child, program, mayEnd)
  pin(child.pid, clientCpu)
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  return { hasEnded, stop: () => end(child) }
}

/**
 * Starts one of `servers/`, by name.
 *
 * @param options.env - Variables beside those of this process.
 * @param options.under - A program, with its arguments, that runs it.
 * @param options.flags - Further ones for Node.
 */
export async function startServer(name, { env, under = [], flags = [] } = {}) {
  const node = [process.execPath, '--expose-gc', ...flags, here('server-main.mjs'), name]
  const [program, ...args] = [...under, ...node]
  const pinned = canPin && { CLIENT_CPU: `${clientCpu}` }
  const child = spawn(program, args, {
    env: { ...process.env, NODE_ENV: 'production', ...pinned, ...env },
    stdio: ['ignore', 'inherit', under.length > 0 ? 'ignore' : 'inherit', 'ipc'],
  })
  watch(child, name)
  pin(child.pid, serverCpu)
  const answers = new Map()
  let lastId = 0
  const { port, pid } = await new Promise((resolve) => {
    child.on('message', (message) => {
      if (message.pid !== undefined) resolve(message)
      answers.get(message.id)?.(message.result)
      answers.delete(message.id)
    })
  })
  /** Calls a function of `server-main.mjs` and does not wait for it. */
  const tell = (call, options) => child.send({ call, options })
  const ask = (call, options) => {
    lastId += 1
    child.send({ id: lastId, call, options })
    return new Promise((resolve) => answers.set(lastId, resolve))
  }
  return {
    port,
    tell,
    ask,
    cpuUs: async () => schedulerCpuUs(pid) ?? ask('cpuUs'),
    countInstructions: () => countInstructions(pid),
    pid,
    stop: () => end(child),
  }
}

/** CPU time of all threads: the scheduler counts nanoseconds, where Linux has it. */
function schedulerCpuUs(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const read = (thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')
    return threads.reduce((sum, thread) => sum + Number(read(thread).split(' ')[0]), 0) / 1000
  } catch {
    return undefined
  }
}

/** Builds the load client; undefined without a C compiler or epoll. */
function buildClient() {
  const binary = here('../.build/load-client')
  mkdirSync(here('../.build'), { recursive: true })
  const args = ['-O2', '-o', binary, here('load-client.c')]
  return spawnSync('cc', args, { stdio: 'ignore' }).status === 0 ? binary : undefined
}

const binary = process.env.NODE_CLIENT === '1' ? undefined : buildClient()
export const clientName = binary === undefined ? 'Node' : 'C, epoll'

/**
 * Opens connections, some at once, and resolves when all are streams. Connection i listens to
 * i % channels.
 */
export function startClient({ port, connections, channels = 1, atOnce = 64 }) {
  const numbers = [port, connections, channels, atOnce].map(String)
  const command = binary === undefined ? [process.execPath, here('load-client.mjs')] : [binary]
  return startCounting([...command, ...numbers])
}

/** A bare subscriber to channel 0 in Redis, which counts as load clients do. */
export function startSubscriber(redisUrl) {
  return startCounting([process.execPath, here('redis-subscriber.mjs'), redisUrl])
}

/** One client of channel 0, which counts as load clients do, and also tells the order. */
export function startSseSubscriber(port) {
  return startCounting([
    process.execPath,
    here('sse-subscriber.mjs'),
    `http://127.0.0.1:${port}/c/0`,
  ])
}

async function startCounting([command, ...args]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  watch(child, 'The load client')
  pin(child.pid, clientCpu)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => JSON.parse((await lines.next()).value)
  const ask = (text) => {
    child.stdin.write(`${text}\n`)
    return answer()
  }
  await answer()
  // Some servers subscribe a moment after they have sent the head.
  await delay(200)
  return {
    stats: () => ask('stats'),
    /** Waits for that many events since the start, `ms` at most. */
    until: (events, ms) => ask(`until ${events} ${ms}`),
    reset: () => ask('reset'),
    stall: (connection) => ask(`stall ${connection}`),
    stop: () => end(child),
  }
}
