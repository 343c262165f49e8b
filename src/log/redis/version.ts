import { EventStreamError } from '../../core/errors.js'

/** The oldest Redis that has all that is used: ranges that exclude an end, trimming by id. */
const minVersion = [6, 2]
/** In a cluster: sharded pub/sub. */
const minClusterVersion = [7, 0]

/**
 * @param info - What the command `INFO` answers.
 * @returns undefined when it is new enough, or does not tell.
 */
export function whyTooOld(info: string, isCluster: boolean): EventStreamError | undefined {
  const version = /redis_version:(\S+)/.exec(info)?.[1]
  if (version === undefined || isEnough(version, isCluster)) return undefined
  const wanted = (isCluster ? minClusterVersion : minVersion).join('.')
  return new EventStreamError(
    'ERR_LOG_REFUSED',
    `This is Redis ${version}, and the event log needs ${wanted} or later${isCluster ? ' for a cluster' : ''}; upgrade it.`,
  )
}

function isEnough(version: string, isCluster: boolean): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = isCluster ? minClusterVersion : minVersion
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}
