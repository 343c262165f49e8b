import { exportsOf, unlessMissing } from '../../core/optional-package.js'

/** @returns undefined when it is not installed. */
export async function loadIoredis(): Promise<Pick<typeof import('ioredis'), 'Redis'> | undefined> {
  try {
    return exportsOf(await import('ioredis'), 'Redis')
  } catch (error) {
    return unlessMissing('ioredis', error)
  }
}

/** @returns undefined when it is not installed. */
export async function loadNodeRedis(): Promise<typeof import('redis') | undefined> {
  try {
    return exportsOf(await import('redis'), 'createClient')
  } catch (error) {
    return unlessMissing('redis', error)
  }
}
