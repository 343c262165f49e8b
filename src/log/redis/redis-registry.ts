import { quote } from '../../core/errors.js'
import type { StreamEnd } from '../../core/stream-end.js'
import type { Intake } from '../intake.js'
import { randomNonce } from '../nonce.js'
import type {
  NewRecord,
  RecordQuery,
  RegistryCounts,
  RegistryRecord,
  RegistryStore,
  Take,
} from '../registry-store.js'
import type { RedisDriver } from './driver.js'
import type { KeyPrefix } from './format.js'
import type { Link } from './link.js'
import {
  packRecord,
  packText,
  packUser,
  parseRecords,
  registryKeys,
  removalKey,
} from './registry-format.js'
import { ends, maxRecords, type RegistryScripts, registryScripts } from './registry-scripts.js'

/** Characters of one command: Redis does nothing else meanwhile. */
const maxLength = 1_000_000

type Name = keyof RegistryScripts

/** What runs one command, where a repetition says so. */
type Run = (name: Name, keys: readonly string[], args: readonly string[]) => Promise<unknown>

/**
 * A registry in Redis: each call is one script for some two hundred records, and lists are read page by page. A try
 * that was lost is repeated as it was, and finds by its token what the first one did.
 */
export class RedisRegistry implements RegistryStore {
  readonly #prefix: KeyPrefix
  readonly #keys: readonly string[]
  readonly #link: Link
  readonly #intake: Intake
  /** For how long an answer is kept that cannot be found again elsewhere. */
  readonly #repeatMs: number

  /** @param timeoutMs - For how long a call is repeated. */
  constructor(prefix: KeyPrefix, link: Link, intake: Intake, timeoutMs: number) {
    this.#prefix = prefix
    this.#keys = registryKeys(prefix)
    this.#link = link
    this.#intake = intake
    this.#repeatMs = timeoutMs + 1000
  }

  register(records: readonly NewRecord[]): Promise<readonly boolean[]> {
    const packed = records.map(({ id, lifetimeMs, pauseMs, replaces, user, ...rest }) => [
      packText(id),
      String(lifetimeMs),
      String(pauseMs),
      replaces ? '1' : '',
      user === undefined ? '' : packUser(user),
      packRecord(rest),
    ])
    const batches = inBatches(packed).map((some) => [token(), ...some.flat()])
    return this.#each(`The registration of ${records.length} records`, batches, (args, run) =>
      run('register', this.#keys, args),
    )
  }

  heartbeat(ids: readonly string[]): Promise<readonly boolean[]> {
    const batches = inBatches(ids.map((id) => [packText(id)])).map((some) => some.flat())
    return this.#each(
      `The heartbeat of ${ids.length} records`,
      batches,
      (args, run) => run('heartbeat', this.#keys, args),
      // The next one is soon.
      false,
    )
  }

  remove(ids: readonly string[]): Promise<readonly boolean[]> {
    const batches = inBatches(ids.map((id) => [packText(id)])).map((some) => ({
      keys: [...this.#keys, removalKey(this.#prefix, token())],
      ids: some.flat(),
    }))
    const what = `The removal of ${ids.length} records`
    return this.#each(what, batches, (batch, run, isRepeated) => {
      const args = [String(this.#repeatMs), isRepeated ? '1' : '', ...batch.ids]
      return run('remove', batch.keys, args)
    })
  }

  async get(id: string): Promise<RegistryRecord | undefined> {
    return (await this.#tell(`The look at the record ${quote(id)}`, [packText(id)]))[0]
  }

  async list(query: RecordQuery): Promise<readonly RegistryRecord[]> {
    if ('user' in query) {
      const ids = await this.#idsOfUser(packUser(query.user), query.limit)
      const records = await this.#tell('The list of a user', ids)
      // Since its id was found it may have expired, or be another one's.
      return records.filter(({ state, user }) => state !== 'expired' && user === query.user)
    }
    const what = 'The list of silent records'
    const silentMs = String(query.silentMs)
    const ids = await this.#read(what, 'idsOfSilent', [silentMs, String(query.limit)])
    return this.#tell(what, ids as string[], silentMs)
  }

  async count(silentMs: number): Promise<RegistryCounts> {
    const reply = await this.#read('The count of records', 'count', [String(silentMs)])
    const [active, silent, completed, failed, aborted, orphaned, longest] = (
      reply as (number | string)[]
    ).map((it) => (it === '' ? undefined : Number(it))) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number | undefined,
    ]
    return { active, silent, completed, failed, aborted, orphaned, longestSilenceMs: longest }
  }

  async end(id: string, state: StreamEnd): Promise<boolean | undefined> {
    const args = [packText(id), state, String(ends.indexOf(state) + 1), token()]
    const reply = await this.#write(`The end of the record ${quote(id)}`, 'end', args)
    return reply === null ? undefined : reply === 1
  }

  async take({ silentMs, holder, holdMs, limit }: Take): Promise<readonly RegistryRecord[]> {
    const what = 'The take of silent records'
    // One that is behind another than before may come twice.
    const taken = new Set<string>()
    for (let offset = '0'; offset !== '' && taken.size < limit; ) {
      const left = String(limit - taken.size)
      const args = [String(silentMs), holder, String(holdMs), left, offset]
      const [next = '', ...ids] = (await this.#write(what, 'take', args)) as string[]
      for (const id of ids) taken.add(id)
      offset = next
    }
    return this.#tell(what, [...taken])
  }

  async settle(id: string, holder: string): Promise<boolean> {
    const what = `The settling of the record ${quote(id)}`
    return (await this.#write(what, 'settle', [packText(id), holder])) === 1
  }

  async #idsOfUser(user: string, limit: number): Promise<readonly string[]> {
    const found: string[] = []
    for (;;) {
      const count = Math.min(limit - found.length, maxRecords)
      const args = [user, found.at(-1) ?? '', String(count)]
      const page = (await this.#read('The list of a user', 'idsOfUser', args)) as string[]
      found.push(...page)
      if (page.length < count || found.length === limit) break
    }
    return found.flatMap((member) => /^[^~]*~\d+~(.*)$/s.exec(member)?.[1] ?? [])
  }

  /** Page by page, as each command holds up all others. */
  async #tell(
    what: string,
    ids: readonly string[],
    silentMs = '',
  ): Promise<readonly RegistryRecord[]> {
    const records: RegistryRecord[] = []
    for (let at = 0; at < ids.length; ) {
      const page = ids.slice(at, at + maxRecords)
      const [looked, ...parts] = (await this.#read(what, 'tell', [silentMs, ...page])) as string[]
      for (const record of this.#records(parts)) records.push(record)
      at += Number(looked)
    }
    return records
  }

  #records(parts: readonly string[]): readonly RegistryRecord[] {
    const records = parseRecords(parts)
    if (records.length < parts.length / 2) {
      this.#intake.drop('A record of the registry', 'it is left out')
    }
    return records
  }

  #read(what: string, name: Name, args: readonly string[]): Promise<unknown> {
    return this.#link.run({
      what,
      writes: false,
      attempt: (driver) => run(driver, name, this.#keys, args),
    })
  }

  #write(what: string, name: Name, args: readonly string[]): Promise<unknown> {
    return this.#attempt(what, true, (runOne) => runOne(name, this.#keys, args))
  }

  /** Runs all batches at once; each answers with one digit for each of its records. */
  async #each<Batch>(
    what: string,
    batches: readonly Batch[],
    runOne: (batch: Batch, run: Run, isRepeated: boolean) => Promise<unknown>,
    isReplicated = true,
  ): Promise<readonly boolean[]> {
    const replies = await this.#attempt(what, isReplicated, (run, isRepeated) =>
      Promise.all(batches.map((batch) => runOne(batch, run, isRepeated))),
    )
    return Array.from((replies as string[]).join(''), (digit) => digit === '1')
  }

  #attempt(
    what: string,
    isReplicated: boolean,
    act: (run: Run, isRepeated: boolean) => Promise<unknown>,
  ): Promise<unknown> {
    return this.#link.run({
      what,
      writes: true,
      attempt: async (driver, lostForMs) => {
        const { connection } = this.#link
        const reply = await act((...args) => run(driver, ...args), lostForMs !== undefined)
        if (isReplicated) await this.#link.replicated(what, connection)
        return reply
      },
    })
  }
}

async function run(
  driver: RedisDriver,
  name: Name,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  for (;;) {
    const reply = await driver.run(registryScripts[name], keys, args)
    // It has forgotten as many records as one command may, and there are more.
    if (reply !== 'again') return reply
  }
}

/** What no other call has. */
function token(): string {
  return `${randomNonce()}${randomNonce()}`
}

/** Splits what is given of each record so that no command has too much of it. */
function inBatches(records: readonly (readonly string[])[]): readonly (readonly string[])[][] {
  const batches: (readonly string[])[][] = []
  let length = 0
  for (const record of records) {
    const own = record.reduce((sum, text) => sum + text.length, 0)
    const batch = batches.at(-1)
    if (batch !== undefined && batch.length < maxRecords && length + own <= maxLength) {
      batch.push(record)
      length += own
    } else {
      batches.push([record])
      length = own
    }
  }
  return batches
}
