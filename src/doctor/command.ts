import process from 'node:process'
import { parseArgs } from 'node:util'
import { diagnose } from './diagnose.js'
import { checkTarget } from './options.js'
import { hasProblems, toJson, toText } from './report.js'

/** What a command prints, and the exit code of its process. */
export interface CommandResult {
  readonly text: string
  readonly exitCode: number
}

export const doctorOptions = `  --header <line>      'Name: value', sent along; may be given several times, is never shown
  --post               asks by POST, without a body
  --body <text>        asks by POST with this, which is JSON unless a header says what it is
  --seconds <n>        how long one stream is watched for; by default 40
  --connections <n>    streams that are opened at once; by default 8, and 0 with --post or --body
  --origin <origin>    of pages on another host that are to read the stream
  --json               prints the findings as JSON
`

/**
 * `headwater doctor <url>`.
 *
 * @returns Exit code 0 without problems, 1 with some.
 * @throws Error One sentence: wrong usage, or nothing answers.
 */
export async function doctorCommand(args: readonly string[]): Promise<CommandResult> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      header: { type: 'string', multiple: true },
      post: { type: 'boolean' },
      body: { type: 'string' },
      seconds: { type: 'string' },
      connections: { type: 'string' },
      origin: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [url, ...others] = positionals
  if (url === undefined || others.length > 0) {
    throw new Error('Give one URL: headwater doctor https://app.example/events')
  }
  const { header: headers, post, body, seconds, connections, origin, json } = values
  const target = checkTarget({
    url,
    headers,
    post,
    body,
    seconds: toNumber(seconds),
    connections: toNumber(connections),
    origin,
  })
  if (process.stderr.isTTY) process.stderr.write(`Watching for ${target.watchMs / 1000} s …\n`)
  const diagnosis = await diagnose(target)
  const hasColours = process.stdout.isTTY === true && !process.env.NO_COLOR
  return {
    text: json ? toJson(diagnosis) : toText(diagnosis, hasColours),
    exitCode: hasProblems(diagnosis) ? 1 : 0,
  }
}

function toNumber(text: string | undefined): number | undefined {
  // An empty one would be 0.
  return text === undefined ? undefined : Number(text.trim() || Number.NaN)
}
