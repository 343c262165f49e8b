import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { formatEntryId, seqOf } from '../core/entry-id.js'
import { encodeEnding, endId, isEndId, parseEnding } from '../core/stream-end.js'
import type { StoredEvent } from '../log/event-log.js'
import type { Claim, Production, StreamInfo, StreamLog } from '../log/stream-log.js'
import { sharedStreams } from './shared-streams.js'
import { all, collector, entry, numbers, type Test, until } from './suite.js'

/** Makes a log of its own for one test. The suite closes it. */
export type CreateStreamLog = (limits: {
  readonly maxEvents?: number
  readonly maxAgeMs?: number
}) => Promise<StreamLog>

type WithLog = (
  name: string,
  body: (log: StreamLog, channel: string) => Promise<void>,
  limits?: Parameters<CreateStreamLog>[0],
) => unknown

const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }
const completed = encodeEnding({ state: 'completed' })
const aborted = encodeEnding({ state: 'aborted' })

let channels = 0

/**
 * The contract of {@link StreamLog} in executable form: declares one test per promise. Beside it, run
 * `eventLogSuite`, unless the log keeps streams only, and refuses to append anything else.
 */
export function streamLogSuite(
  test: Test,
  create: CreateStreamLog,
  { streamsOnly = false }: { readonly streamsOnly?: boolean } = {},
): void {
  const withLog: WithLog = (name, body, logLimits = {}) =>
    test(name, async () => {
      const log = await create(logLimits)
      channels += 1
      try {
        await body(log, `streams-${process.pid}-${channels}`)
      } finally {
        await log.close()
      }
    })
  claiming(withLog)
  producing(withLog)
  leasing(withLog)
  ending(withLog)
  keeping(withLog)
  if (!streamsOnly) channelsBeside(withLog)
}

function claiming(withLog: WithLog): void {
  withLog('makes one of all who claim at once the producer', async (log, a) => {
    const tokens = Array.from({ length: 20 }, (_, i) => `t${i}`)
    const claimed = await Promise.all(tokens.map((token) => log.claim(a, claim({ token }))))
    const owners = tokens.filter((_, i) => claimed[i]?.outcome === 'owned')
    equal(owners.length, 1)
    equal(claimed.filter(({ outcome }) => outcome === 'taken').length, 19)
    const again = await log.claim(a, claim({ token: owners[0] as string }))
    equal(again.outcome, 'owned')
    deepEqual(again.info, await log.inspect(a))
  })

  withLog('begins a stream where readers wait for it already', async (log, a) => {
    const [head] = await log.heads([a])
    const { info } = await log.claim(a, claim())
    deepEqual([info?.origin, info?.head, info?.end], [head, head, undefined])
    ok(Math.abs((info?.startedAt ?? 0) - Date.now()) < 60_000)
  })

  withLog('makes nothing where it only looks', async (log, a) => {
    equal(await log.inspect(a), undefined)
    equal(await log.inspect(a), undefined)
  })

  withLog('goes on with a stream that was lost, behind its last entry', async (log, a) => {
    const from = { origin: '0-7', head: '41-99' }
    equal((await log.claim(a, claim({ from }))).outcome, 'owned')
    const entries = made('41-99', 2)
    equal(await log.produce(a, production(entries)), 'appended')
    const page = await log.read(a, '41-99', all)
    deepEqual([page.entries, page.gap], [entries, undefined])
    ok((await log.read(a, '0-7', all)).gap !== undefined)
    ok((await log.read(a, '40-5', all)).gap !== undefined)
    equal((await infoOf(log, a)).origin, '0-7')
  })

  withLog('puts what its producer has in place of a tail that was lost', async (log, a) => {
    const { origin } = await begin(log, a)
    const lost = made(origin, 3)
    await log.produce(a, production(lost.slice(0, 1)))
    const head = lost[2]?.id as string
    equal(await log.produce(a, production(made(head, 1))), 'diverged')
    equal((await log.claim(a, claim({ from: { origin, head } }))).outcome, 'owned')
    equal(await log.produce(a, production(made(head, 1))), 'appended')
    ok((await log.read(a, lost[0]?.id as string, all)).gap !== undefined)
    equal((await log.claim(a, claim({ token: 'other', from: { origin, head } }))).outcome, 'taken')
  })
}

function producing(withLog: WithLog): void {
  withLog('keeps what is produced, with the ids that it came with', async (log, a) => {
    const { origin } = await begin(log, a)
    const listener = collector()
    await log.follow(a, listener)
    const entries = made(origin, 5)
    equal(await log.produce(a, production(entries.slice(0, 2))), 'appended')
    equal(await log.produce(a, production(entries.slice(2))), 'appended')
    deepEqual((await log.read(a, origin, all)).entries, entries)
    deepEqual(await log.heads([a]), [entries[4]?.id])
    await until(async () => listener.seen.length === 5)
    deepEqual(listener.seen, entries)
  })

  withLog('keeps name and payload to the letter', async (log, a) => {
    const { origin } = await begin(log, a)
    const data = ['', '"line\nbreak\r\n\u0000 \u2028 😀"', '\ud83d half', 'x'.repeat(100_000)]
    const entries = made(origin, data.length).map((it, i) => ({
      ...it,
      event: i === 1 ? undefined : 'naïve 😀',
      data: data[i] as string,
    }))
    equal(await log.produce(a, production(entries)), 'appended')
    deepEqual((await log.read(a, origin, all)).entries, entries)
  })

  withLog('appends once what comes twice', async (log, a) => {
    const { origin } = await begin(log, a)
    const entries = made(origin, 3)
    const results = await Promise.all([1, 2, 3].map(() => log.produce(a, production(entries))))
    deepEqual(results, ['appended', 'appended', 'appended'])
    equal(await log.produce(a, production(ended(entries[2]?.id as string))), 'appended')
    equal(await log.produce(a, production(ended(entries[2]?.id as string))), 'appended')
    deepEqual(numbers(await log.read(a, origin, { ...all, maxEvents: 3 })), [1, 2, 3])
    equal(seqOf((await infoOf(log, a)).head), 4)
  })

  withLog('refuses whoever is not the producer', async (log, a) => {
    equal(await log.produce(a, production(made('0-1', 1))), 'missing')
    equal(await log.inspect(a), undefined)
    const { origin } = await begin(log, a)
    const entries = made(origin, 1)
    equal(await log.produce(a, production(entries, { token: 'other' })), 'taken')
    deepEqual((await log.read(a, origin, all)).entries, [])
  })
}

function leasing(withLog: WithLog): void {
  withLog('orphans a stream whose producer is not heard of', async (log, a) => {
    const { origin } = await begin(log, a)
    const seen: StoredEvent[] = []
    const listener = {
      append: (entries: readonly StoredEvent[]) => void seen.push(...entries),
      suspect: () => void log.read(a, origin, all).then(({ entries }) => seen.push(...entries)),
    }
    await log.follow(a, listener)
    const entries = made(origin, 1)
    await log.produce(a, production(entries, { leaseMs: 100 }))
    await until(async () => seen.some(({ id }) => isEndId(id)))
    const { end } = await infoOf(log, a)
    deepEqual(end && parseEnding(end), { state: 'orphaned' })
    deepEqual((await log.read(a, origin, all)).entries, [...entries, end])
    equal(await log.produce(a, production(made(entries[0]?.id as string, 1))), 'ended')
    deepEqual(await log.renew([lease(a)]), [false])
    equal((await log.claim(a, claim({ token: 'next' }))).outcome, 'ended')
  })

  withLog('orphans a stream that nobody follows when somebody looks', async (log, a) => {
    for (const [i, look] of [
      (name: string) => log.inspect(name),
      (name: string) => log.heads([name]),
      (name: string) => log.read(name, 'earliest', all),
      (name: string) => log.claim(name, claim({ token: 'next' })),
    ].entries()) {
      const name = `${a}-${i}`
      await log.claim(name, claim({ leaseMs: 30 }))
      await until(async () => {
        await look(name)
        return isEndId((await log.heads([name]))[0] as string)
      })
      equal((await log.read(name, 'earliest', all)).entries.length, 1)
    }
  })

  withLog('renews leases of many streams, and tells which hold', async (log, a) => {
    const names = [a, `${a}-other`, `${a}-taken`, `${a}-none`]
    for (const name of names.slice(0, 2)) await log.claim(name, claim({ leaseMs: 400 }))
    await log.claim(names[2] as string, claim({ token: 'theirs' }))
    const leases = names.map((name) => lease(name))
    const since = performance.now()
    while (performance.now() - since < 1000) {
      deepEqual(await log.renew(leases), [true, true, false, false])
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    equal((await infoOf(log, a)).end, undefined)
    equal(await log.inspect(`${a}-none`), undefined)
  })
}

function ending(withLog: WithLog): void {
  withLog('ends a stream once, whoever ends it', async (log, a) => {
    const { origin } = await begin(log, a)
    const listener = collector()
    await log.follow(a, listener)
    const entries = made(origin, 1)
    await log.produce(a, production(entries))
    const infos = await Promise.all([1, 2, 3].map(() => log.endStream(a, aborted)))
    const head = endId(entries[0]?.id as string)
    for (const info of infos) deepEqual([info?.head, info?.end?.data], [head, aborted.data])
    await until(async () => listener.seen.length >= 2)
    deepEqual(listener.seen, (await log.read(a, origin, all)).entries)
    equal(await log.produce(a, production(ended(entries[0]?.id as string))), 'ended')
    deepEqual(await log.renew([lease(a)]), [false])
  })

  withLog('lets a producer end its stream with its last entries', async (log, a) => {
    const { origin } = await begin(log, a)
    const entries = made(origin, 2)
    const last = ended(entries[1]?.id as string)
    equal(await log.produce(a, production([...entries, ...last])), 'appended')
    const info = await infoOf(log, a)
    deepEqual([info.end, info.head], [last[0], last[0]?.id])
    deepEqual(await log.endStream(a, aborted), info)
    deepEqual(await log.claim(a, claim({ token: 'next' })), { outcome: 'ended', info })
    deepEqual((await log.read(a, origin, all)).entries, [...entries, ...last])
  })

  withLog('has nothing to end where there is no stream', async (log, a) => {
    equal(await log.endStream(a, aborted), undefined)
    equal(await log.inspect(a), undefined)
  })

  withLog('refuses everything after close', async (log, a) => {
    await log.close()
    const closed = { code: 'ERR_LOG_CLOSED' }
    await rejects(log.claim(a, claim()), closed)
    await rejects(log.produce(a, production(made('0-1', 1))), closed)
    await rejects(log.renew([lease(a)]), closed)
    await rejects(log.endStream(a, aborted), closed)
    await rejects(log.inspect(a), closed)
  })
}

function keeping(withLog: WithLog): void {
  withLog(
    'keeps a stream by limits of its own',
    async (log, a) => {
      const { origin } = await begin(log, a)
      const entries = made(origin, 300)
      for (let i = 0; i < 300; i += 50) {
        await log.produce(a, production(entries.slice(i, i + 50)))
      }
      const { entries: first, gap } = await log.read(a, origin, all)
      deepEqual([first.length, gap], [300, undefined])
      await new Promise((resolve) => setTimeout(resolve, 500))
      deepEqual(await log.renew([lease(a)]), [true])
      equal(
        (await log.read(a, origin, all)).entries.length,
        300,
        'entries have no age of their own',
      )
    },
    { maxEvents: 2, maxAgeMs: 200 },
  )

  withLog('drops the oldest entries past its limits, and reports the gap', async (log, a) => {
    const { origin } = await begin(log, a)
    const entries = made(origin, 600)
    const few = { ...limits, maxEvents: 100 }
    for (let i = 0; i < 600; i += 50) {
      await log.produce(a, production(entries.slice(i, i + 50), { limits: few }))
    }
    const page = await log.read(a, origin, all)
    equal(page.gap, 'trimmed')
    ok(page.entries.length >= 100 && page.entries.length < 400, `keeps ${page.entries.length}`)
    deepEqual(page.entries.at(-1), entries.at(-1))
    const small = { ...limits, maxBytes: 2000 }
    const more = made(entries.at(-1)?.id as string, 100)
    await log.produce(a, production(more, { limits: small }))
    const kept = (await log.read(a, 'earliest', all)).entries
    ok(kept.length < 400 && kept.at(-1)?.id === more.at(-1)?.id)
  })

  withLog('forgets a stream after its age, and takes its name anew', async (log, a) => {
    const short = { ...limits, maxAgeMs: 150 }
    const { info } = await log.claim(a, claim({ limits: short }))
    const entries = [...made(info.origin, 1)]
    const last = ended(entries[0]?.id as string)
    await log.produce(a, production([...entries, ...last], { limits: short }))
    await until(async () => (await log.inspect(a)) === undefined)
    equal((await log.claim(a, claim({ token: 'next' }))).outcome, 'owned')
    ok((await log.read(a, last[0]?.id as string, all)).gap !== undefined)
    deepEqual((await log.read(a, 'earliest', all)).entries, [])
  })
}

/** What a log promises that keeps channels of other publishers too. */
function channelsBeside(withLog: WithLog): void {
  sharedStreams(withLog)
  withLog(
    'tells streams from channels, though names differ by one control character',
    async (log, a) => {
      const stream = `\u0002${a}`
      await log.append(a, [entry(1)])
      equal(await log.inspect(a), undefined)
      equal(await log.produce(a, production(made('0-1', 1))), 'missing')
      equal(await log.endStream(a, aborted), undefined)
      equal(await log.inspect(stream), undefined)
      const { origin } = await begin(log, stream)
      await log.produce(stream, production(made(origin, 2)))
      await log.append(a, [entry(2)])
      deepEqual(numbers(await log.read(a, 'earliest', all)), [1, 2])
      await log.endStream(stream, aborted)
      await log.append(a, [entry(3)])
      deepEqual(numbers(await log.read(a, 'earliest', all)), [1, 2, 3])
      equal((await infoOf(log, stream)).end?.data, aborted.data)
    },
  )

  withLog('takes nothing into a stream but what is produced', async (log, a) => {
    await begin(log, a)
    await rejects(log.append(a, [entry(1)]), { code: 'ERR_STREAM_PRODUCED' })
    await rejects(log.closeChannel(a), { code: 'ERR_STREAM_PRODUCED' })
    await log.endStream(a, aborted)
    await rejects(log.append(a, [entry(2)]), { code: 'ERR_CHANNEL_CLOSED' })
  })
}

function claim(own: Partial<Claim> = {}): Claim {
  return { token: 'mine', leaseMs: 60_000, limits, ...own }
}

function production(entries: readonly StoredEvent[], own: Partial<Production> = {}): Production {
  return { token: 'mine', leaseMs: 60_000, limits, entries, ...own }
}

function lease(channel: string) {
  return { channel, token: 'mine', leaseMs: 400 }
}

async function begin(log: StreamLog, channel: string): Promise<StreamInfo> {
  return (await log.claim(channel, claim())).info
}

const infoOf = async (log: StreamLog, channel: string) => (await log.inspect(channel)) as StreamInfo

/** The next entries behind one, as a producer makes them: their ids are its own. */
function made(after: string, count: number): StoredEvent[] {
  let prevId = after
  return Array.from({ length: count }, (_, i) => {
    const id = formatEntryId(seqOf(prevId) + 1, 1 + Math.floor(Math.random() * 2 ** 31))
    const made = { id, prevId, event: 'n', data: JSON.stringify({ n: i + 1 }) }
    prevId = id
    return made
  })
}

const ended = (after: string): StoredEvent[] => [{ id: endId(after), prevId: after, ...completed }]
