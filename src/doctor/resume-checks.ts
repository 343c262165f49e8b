import { parseCursor } from '../core/cursor.js'
import { controlEvents } from '../core/event.js'
import { type Finding, ok, problem, warning } from './finding.js'
import type { Target } from './options.js'
import { Probe, type ProbeOptions } from './probe.js'

/** An id that no server gave. headwater says so in a `stream-reset`, so it tells whether ids arrive. */
const unknownId = 'headwater-doctor'
/** What comes behind an opening comes so soon. Milliseconds. */
const behindOpeningMs = 500

/** Whether the stream is of a headwater server. */
export function isHeadwater({ record: { opening } }: Probe): boolean {
  if (opening?.event !== controlEvents.open) return false
  return opening.id === undefined || parseCursor(opening.id) !== undefined
}

/** Whether a client that comes back goes on where it was. */
export async function checkResume(target: Target, probe: Probe): Promise<Finding[]> {
  const id = probe.record.opening?.id
  if (!isHeadwater(probe) || id === undefined) return []
  const [inHeader, inQuery] = await Promise.all([
    arrives(target, { lastEventId: unknownId }),
    arrives(target, { lastEventIdInQuery: unknownId }),
  ])
  if (inHeader === undefined || inQuery === undefined) {
    const what = 'A second stream did not open in time, so whether ids arrive cannot be told.'
    return [warning('resume', what, 'Mend what else is wrong, and look again.')]
  }
  const findings = [headerFinding(inHeader), queryFinding(inQuery)]
  if (!inHeader && !inQuery) return findings
  const wish = inHeader ? { lastEventId: id } : { lastEventIdInQuery: id }
  return [...findings, await goesOn(target, wish, id)]
}

function headerFinding(arrives: boolean): Finding {
  if (arrives) return ok('last-event-id', 'The header arrives at the server.')
  const what =
    'The header Last-Event-ID does not arrive: browsers lose what they missed at each reconnect.'
  const fix =
    'Let it pass all proxies and CDNs, which may have a list of headers (nginx: no proxy_set_header that empties it).'
  return problem('last-event-id', what, fix)
}

function queryFinding(arrives: boolean): Finding {
  if (arrives) return ok('lasteventid=', 'The query parameter arrives at the server.')
  const what =
    'The query parameter lastEventId does not arrive, which pages and clients without the header use.'
  return warning('lasteventid=', what, 'Keep the query when the URL is rewritten or redirected.')
}

/** @returns undefined when there was no answer in time. */
async function arrives(target: Target, options: ProbeOptions): Promise<boolean | undefined> {
  const probe = Probe.open(target, options)
  try {
    await probe.until(hasAnswered, target.patienceMs)
    // A stream with one source may refuse it instead.
    if (probe.head !== undefined && !probe.isStream) return true
    const { opening } = probe.record
    return opening === undefined ? undefined : opening.id === undefined
  } finally {
    probe.close()
  }
}

async function goesOn(target: Target, options: ProbeOptions, id: string): Promise<Finding> {
  const probe = Probe.open(target, options)
  try {
    await probe.until(hasAnswered, target.patienceMs)
    await probe.until(({ record }) => resetOf(record) !== undefined, behindOpeningMs)
    return judge(probe, id)
  } finally {
    probe.close()
  }
}

function judge({ record, head }: Probe, id: string): Finding {
  if (head?.statusCode === 204) return ok('resume', 'The stream has come to its end meanwhile.')
  const reset = resetOf(record)
  if (reset !== undefined) {
    const isUnknown = reset.includes('"unknown"')
    const what = isUnknown
      ? 'The server does not know the id that it gave: another process, with a log of its own, may have answered.'
      : 'The server cannot go on from the id that it gave.'
    const fix = isUnknown
      ? 'Give all processes one log, in Redis or Postgres; with GRIP, see docs/grip.md.'
      : 'Raise maxEvents, maxBytes or maxAgeMs of the log, if clients are away for long.'
    return problem('resume', what, fix)
  }
  if (record.opening === undefined) {
    const what = 'A stream that came back with its id did not open in time.'
    return warning('resume', what, 'Look again; if it stays so, see what the server reports.')
  }
  if (record.opening.id === id)
    return ok('resume', 'A client that comes back goes on where it was.')
  const what = 'A client that comes back does not go on where it was.'
  return problem('resume', what, 'See whether something answers from a cache, or rewrites ids.')
}

function resetOf({ blocks }: Probe['record']): string | undefined {
  return blocks.find(({ event }) => event === controlEvents.reset)?.data
}

function hasAnswered(probe: Probe): boolean {
  return probe.record.opening !== undefined || (probe.head !== undefined && !probe.isStream)
}

/** What can be known of ids that are not headwater's. */
export function checkForeignIds({ record: { events, blocks } }: Probe): Finding {
  if (events === 0) {
    const what = 'No event came, so nothing is known of ids.'
    return warning('ids', what, 'Look again while events are published.')
  }
  if (blocks.some(({ id }) => id !== undefined)) {
    return ok(
      'ids',
      'Events have ids. Whether the server goes on from one cannot be seen from outside.',
    )
  }
  const what = 'Events have no id: what is published while a client is away is lost to it.'
  return warning('ids', what, 'Give events ids, and go on from the header Last-Event-ID.')
}
