import { duration, type Finding, ok, problem, warning } from './finding.js'
import { encodingOf, type Probe } from './probe.js'
import type { Burst } from './record.js'
import { isHeadwater } from './resume-checks.js'

/** What belongs together is not further apart. Milliseconds. */
const lateMs = 1000
/** A head that takes longer is late, whatever the server looks up before it. Milliseconds. */
const lateHeadMs = 3000
/** A silence after which proxies begin to close streams. Milliseconds. */
const longSilenceMs = 30_000
/** The usual keep-alive of a server, and some more. Milliseconds. */
const keepAliveDueMs = 20_000

export const bufferingFix =
  'nginx: proxy_buffering off, or have the server send X-Accel-Buffering: no; elsewhere: turn response buffering off for this path.'

/** Whether what the server sends comes through when it is sent. */
export function checkBuffering(probe: Probe): Finding[] {
  const { record, end } = probe
  const silentMs = (end?.atMs ?? probe.ageMs) - (probe.headMs ?? 0)
  const fix = `Have the server send something at once. If it does: ${bufferingFix}`
  // A compressor may let its own first bytes through, and an event's beginning.
  if (hasNothing(probe) && silentMs >= keepAliveDueMs) {
    const what = `After the head, no event and no keep-alive came for ${duration(silentMs)}: something holds them back, or the server is silent for longer than many proxies leave a stream open.`
    return [problem('buffering', what, fix)]
  }
  const [first, ...rest] = record.bursts
  if (first !== undefined) return [judgeBuffering(probe, first, rest)]
  // There was no time in which something could have been held back.
  if (end !== undefined && silentMs <= lateMs) return []
  const what = `After the head, nothing came for ${duration(silentMs)}: the server is silent, or something holds it back.`
  return [warning('buffering', what, fix)]
}

function hasNothing({ record }: Probe): boolean {
  return record.events + record.keepAlives === 0
}

function judgeBuffering(probe: Probe, first: Burst, rest: readonly Burst[]): Finding {
  const { record } = probe
  const headMs = probe.headMs ?? 0
  const openingMs = record.firstEventMs ?? Infinity
  if (isHeadwater(probe) && openingMs - headMs > lateMs) {
    const what = `stream-open is sent with the head, and came ${duration(openingMs - headMs)} after it.`
    return problem('buffering', what, bufferingFix)
  }
  if (headMs > lateHeadMs && first.atMs - headMs < lateMs && first.events + first.comments > 2) {
    const what = `The head came after ${duration(headMs)}, together with ${first.events + first.comments} events and keep-alives.`
    return problem('buffering', what, bufferingFix)
  }
  const parts = partedBlocks(probe)
  if (parts.length > 0) {
    const what = `${parts.length} ${parts.length === 1 ? 'event' : 'events'} came in parts, up to ${duration(Math.max(...parts))} apart, as from a buffer that was full.`
    if (parts.length > 1) return problem('buffering', what, bufferingFix)
    return warning('buffering', what, bufferingFix)
  }
  // A keep-alive ends a silence, so two of them are never sent at once.
  const glued = rest.find((burst) => burst.comments > 1)
  if (glued !== undefined) {
    const what = `${glued.comments} keep-alives came at once: something collected them.`
    const level = isHeadwater(probe) ? problem : warning
    return level('buffering', what, bufferingFix)
  }
  const bursts = rest.filter((burst) => burst.events > 0)
  if (bursts.length >= 3 && bursts.every(({ events }) => events > 1)) {
    const events = bursts.reduce((sum, burst) => sum + burst.events, 0)
    const what = `All events came in bursts: ${events} in ${bursts.length} of them.`
    return warning('buffering', what, `If the server does not send them so: ${bufferingFix}`)
  }
  if (headMs > lateHeadMs) {
    const what = `The head took ${duration(headMs)}.`
    const fix =
      'See what the server awaits before it, or whether a proxy waits for the first bytes.'
    return warning('buffering', what, fix)
  }
  return ok(
    'buffering',
    `Nothing is held back: the first bytes came after ${duration(first.atMs)}.`,
  )
}

/** Milliseconds between the parts of events that came in parts. */
function partedBlocks({ record: { bursts } }: Probe): number[] {
  return bursts.flatMap((burst, i) => {
    const next = bursts[i + 1]
    if (next === undefined || !burst.endsMidBlock) return []
    const gapMs = next.atMs - burst.lastMs
    return gapMs > lateMs ? [gapMs] : []
  })
}

/**
 * Whether compression holds events back.
 *
 * @param plain - The same request that takes no compression.
 */
export function checkCompression(probe: Probe, plain: Probe): Finding {
  const encoding = probe.head === undefined ? undefined : encodingOf(probe.head)
  const plainMs = plain.record.firstEventMs ?? plain.record.lastByteMs
  if (probe.head === undefined) return compressionHolds('a client that takes gzip gets no head')
  if (encoding === undefined) return ok('compression', 'None, though browsers offer it.')
  const fix = 'Send Cache-Control: no-transform, and turn compression off for this path.'
  if (probe.isCorrupt) {
    const what = `The stream says that it is compressed (${known(encoding)}), and cannot be decoded: no client can read it.`
    return problem('compression', what, fix)
  }
  if (probe.isUnreadable) {
    return warning(
      'compression',
      `The stream is compressed (${known(encoding)}), and could not be read.`,
      fix,
    )
  }
  const firstMs = probe.record.firstEventMs ?? Infinity
  if (plainMs !== undefined && firstMs - plainMs > lateMs) {
    const late =
      firstMs === Infinity
        ? 'gets no event'
        : `gets the first event ${duration(firstMs - plainMs)} later`
    return compressionHolds(`a client that takes ${known(encoding)} ${late}`)
  }
  if (hasNothing(probe)) {
    const what = `The stream is compressed (${known(encoding)}), and no event came.`
    return warning('compression', what, fix)
  }
  return ok('compression', `${known(encoding)}, and events come through at once.`)
}

function compressionHolds(what: string): Finding {
  const fix = 'Send Cache-Control: no-transform, or turn compression off for text/event-stream.'
  return problem('compression', `It holds events back: ${what}, one that takes none does.`, fix)
}

function known(encoding: string): string {
  return ['br', 'deflate', 'gzip', 'zstd'].includes(encoding) ? encoding : 'an unknown encoding'
}

/** Whether the stream stays open, and what keeps it open. */
export function checkIdle(probe: Probe, watchMs: number): Finding[] {
  const { record, end } = probe
  const lastMs = record.lastByteMs ?? probe.headMs ?? 0
  const sizes = silences(probe, end?.atMs ?? probe.ageMs)
  const longestMs = Math.max(...sizes)
  if (end !== undefined) return [endOf(probe, end.atMs, end.atMs - lastMs, end.isCut)]
  const open = ok('idle', `Still open after ${duration(watchMs)}.`)
  const fix = 'Send a comment every 15 s: the line ":".'
  if (record.keepAlives > 0) {
    const what = `${record.keepAlives} came; the longest silence was ${duration(longestMs)}.`
    if (longestMs < longSilenceMs) return [open, ok('keep-alive', what)]
    const late = `${what} Many proxies close streams after 30 to 60 s.`
    return [open, warning('keep-alive', late, fix)]
  }
  if (longestMs < keepAliveDueMs) {
    const what = `None was due: the longest silence was ${duration(longestMs)}.`
    return [open, ok('keep-alive', what)]
  }
  const what = `None in ${duration(longestMs)} of silence: many proxies close streams after 30 to 60 s.`
  return [open, warning('keep-alive', what, `${fix} If the server does: ${bufferingFix}`)]
}

function endOf({ record }: Probe, atMs: number, silentMs: number, isCut: boolean): Finding {
  if (record.blocks.some(({ event }) => event === 'stream-end')) {
    return ok('idle', `The stream came to its end after ${duration(atMs)}.`)
  }
  if (wasSentAway(record)) {
    const what =
      'The server sends clients away for now: it is over a limit or closing, or its log is away.'
    return problem('idle', what, 'See what the server reports, and its maxConnections.')
  }
  if (record.blocks.some(({ event }) => event === 'stream-error')) {
    return problem(
      'idle',
      `The stream failed after ${duration(atMs)}.`,
      'See what the server reports.',
    )
  }
  const how = isCut ? 'was cut off' : 'was ended'
  if (silentMs > lateMs / 2) {
    const what = `The stream ${how} after ${duration(atMs)}, of which the last ${duration(silentMs)} were silent.`
    const fix =
      'Raise the idle timeout on the way (nginx: proxy_read_timeout), or have the server send a keep-alive more often.'
    return problem('idle', what, fix)
  }
  const when = record.lastByteMs === undefined ? 'empty' : 'while events came'
  const what = `The stream ${how} after ${duration(atMs)}, ${when}.`
  const fix =
    'See who ends it: a limit of time or size on the way, or the server. Clients reconnect.'
  return isCut ? problem('idle', what, fix) : warning('idle', what, fix)
}

/** Whether there was nothing but a `retry` line. */
export function wasSentAway({ events, retryMs }: Probe['record']): boolean {
  return events === 0 && retryMs !== undefined
}

function silences({ record: { bursts }, headMs = 0 }: Probe, endMs: number): number[] {
  const starts = [headMs, ...bursts.map((burst) => burst.lastMs)]
  const ends = [...bursts.map((burst) => burst.atMs), endMs]
  return ends.map((atMs, i) => atMs - (starts[i] ?? 0))
}

/** When browsers come back. */
export function checkRetry({ record: { retryMs } }: Probe): Finding {
  const fix = 'Send a line such as "retry: 2000", with a number at random for each client.'
  if (retryMs === undefined) {
    const what =
      'There is no retry line: Chromium comes back after 3 s, Firefox after 5 s, all at once.'
    return warning('retry', what, fix)
  }
  if (retryMs >= 200 && retryMs <= 60_000)
    return ok('retry', `Clients come back after ${duration(retryMs)}.`)
  const what = `Clients come back after ${duration(retryMs)}, which is very ${retryMs < 200 ? 'soon' : 'late'}.`
  return warning('retry', what, fix)
}
