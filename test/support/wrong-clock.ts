import { spawnSync } from 'node:child_process'
import { pathOf } from './services.js'

/**
 * The environment in which Node has another time, but for timers.
 *
 * @param offset - Such as `+60s`.
 */
export function wrongClock(offset: string): NodeJS.ProcessEnv {
  // It runs what it is given in a process of its own, which would outlive it.
  const args = ['-m', '--exclude-monotonic', '-f', offset, 'env']
  const { stdout } = spawnSync(pathOf('faketime'), args, { encoding: 'utf8' })
  const lines = stdout
    .split('\n')
    .filter((line) => /^(?:LD_PRELOAD|FAKETIME|FAKETIME_DONT_FAKE_MONOTONIC)=/.test(line))
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}
