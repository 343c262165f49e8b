import { once } from 'node:events'

/**
 * Runs until SIGINT or SIGTERM, or says in one line why that cannot be; then ends this process.
 *
 * @param run - Gets a promise of the signal, and leaves nothing behind.
 */
export async function untilStopped(
  run: (stopping: Promise<unknown>) => Promise<void>,
): Promise<never> {
  try {
    await run(Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]))
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
  // Connections that are idle must not keep it.
  process.exit()
}
