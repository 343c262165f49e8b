// Programs that are not of npm.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../../scripts/ensure-services.mjs', import.meta.url))

/**
 * @param name - Of those that `scripts/ensure-services.mjs` knows.
 * @param versionPattern - Finds the version in what it prints when asked by `--version`.
 * @returns Path and version; both are undefined where it is not installed.
 */
export function findProgram(name, versionPattern) {
  const found = spawnSync(process.execPath, [script, '--find', name], { encoding: 'utf8' })
  const path = found.stdout.trim()
  if (path === '') return { path: undefined, version: undefined }
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  return { path, version: versionPattern.exec(stdout)?.[1] }
}
