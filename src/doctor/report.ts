import type { Diagnosis } from './diagnose.js'
import type { Finding, Level } from './finding.js'

const levelWidth = 9
const checkWidth = 16
const lineWidth = 98
const colours: Readonly<Record<Level, number>> = { ok: 32, warning: 33, problem: 31 }

/** For people: a line for each finding, and below it what to do. */
export function toText({ url, findings }: Diagnosis, hasColours: boolean): string {
  const lines = findings.flatMap((finding) => linesOf(finding, hasColours))
  return `${url}\n\n${lines.join('\n')}\n\n${summaryOf(findings)}\n`
}

/** For programs. */
export function toJson(diagnosis: Diagnosis): string {
  const { findings } = diagnosis
  const counts = { problems: count(findings, 'problem'), warnings: count(findings, 'warning') }
  return `${JSON.stringify({ ...diagnosis, ...counts }, null, 2)}\n`
}

/** Whether a command that shows these has failed. */
export function hasProblems({ findings }: Diagnosis): boolean {
  return count(findings, 'problem') > 0
}

function linesOf({ check, level, what, fix }: Finding, hasColours: boolean): string[] {
  const word = level.padEnd(levelWidth)
  const label = hasColours ? `\x1b[${colours[level]}m${word}\x1b[0m` : word
  const indent = ' '.repeat(levelWidth + checkWidth)
  const [first = '', ...rest] = wrap(what)
  const advice =
    fix === undefined ? [] : wrap(fix).map((line, i) => `${i === 0 ? '> ' : '  '}${line}`)
  return [
    `${label}${check.padEnd(checkWidth)}${first}`,
    ...[...rest, ...advice].map((line) => indent + line),
  ]
}

/** Breaks text at spaces, so that two more characters have room in each line. */
function wrap(text: string): string[] {
  const width = lineWidth - levelWidth - checkWidth - 2
  const lines: string[] = []
  // A number stays with its unit.
  for (const word of text.split(/ (?!m?s\b)/)) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}

function summaryOf(findings: readonly Finding[]): string {
  const [problems, warnings] = [count(findings, 'problem'), count(findings, 'warning')]
  if (problems + warnings === 0) return 'All is well.'
  if (problems === 0) return `No problems, ${counted(warnings, 'warning')}.`
  return `${counted(problems, 'problem')}, ${counted(warnings, 'warning')}.`
}

function counted(number: number, noun: string): string {
  return `${number === 0 ? 'no' : number} ${noun}${number === 1 ? '' : 's'}`
}

function count(findings: readonly Finding[], wanted: Level): number {
  return findings.filter(({ level }) => level === wanted).length
}
