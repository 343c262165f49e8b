#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { withoutSecrets } from './core/connection-url.js'
import { type CommandResult, doctorCommand, doctorOptions } from './doctor/command.js'
import { schemaSql } from './log/postgres/schema.js'
import { purgePostgres, setUpPostgres } from './log/postgres/set-up.js'

const usage = `Usage: headwater postgres <command> [options]
       headwater doctor <url> [options]

Commands of postgres:
  setup                makes the tables of an event log, or brings them up to date
  purge                deletes what is past its age, as logs do by themselves

Options of postgres:
  --url <url>          postgres://user:password@host:5432/database; by default DATABASE_URL
  --schema <name>      the schema of the tables; by default headwater
  --print              of setup: prints the SQL that makes a new schema, and does nothing

doctor says what a proxy, or anything else on the way, does to the event stream at a URL.
It ends with 0, with 1 when it found problems, and with 2 when it could not look.

Options of doctor:
${doctorOptions}`

/** @returns What to print. */
async function runPostgres(args: string[]): Promise<string> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      schema: { type: 'string', default: 'headwater' },
      print: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const command = positionals.join(' ')
  if (values.help || command === '') return usage
  if (command !== 'postgres setup' && command !== 'postgres purge') {
    throw new Error(`There is no command "${command}".\n\n${usage}`)
  }
  const { schema, print, url = process.env.DATABASE_URL } = values
  if (print && command === 'postgres setup') return schemaSql(schema)
  if (!url) throw new Error('Where is the database? Give --url, or set DATABASE_URL.')
  if (command === 'postgres purge') {
    const { entries, channels, records } = await purgePostgres(url, { schema })
    return `Deleted ${entries} entries; looked at ${channels} channels and ${records} records.\n`
  }
  const { from, to } = await setUpPostgres(url, { schema })
  if (from === to) return `The schema ${schema} is at version ${to} already.\n`
  return from === 0
    ? `Made the schema ${schema}, version ${to}.\n`
    : `Brought the schema ${schema} from version ${from} to version ${to}.\n`
}

async function run(argv: string[]): Promise<CommandResult> {
  const [command, ...args] = argv
  if (command !== 'doctor') return { text: await runPostgres(argv), exitCode: 0 }
  if (args.includes('--help')) return { text: usage, exitCode: 0 }
  return doctorCommand(args)
}

/** What was typed in a wrong place is said back, but for URLs with passwords. */
function withoutGiven(message: string): string {
  const urls = process.argv.slice(2).filter((arg) => /@|:\/\//.test(arg))
  return urls.reduce((text, url) => text.replaceAll(url, withoutSecrets(url)), message)
}

run(process.argv.slice(2)).then(
  ({ text, exitCode }) => {
    process.stdout.write(text)
    process.exitCode = exitCode
  },
  (error: unknown) => {
    process.stderr.write(
      `${withoutGiven(error instanceof Error ? error.message : String(error))}\n`,
    )
    // 1 means that the doctor has found something.
    process.exitCode = process.argv[2] === 'doctor' ? 2 : 1
  },
)
