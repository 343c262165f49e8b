import { existsSync, readFileSync } from 'node:fs'

/** Whether there is a process of this id, which has not ended yet. */
export function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`
  try {
    process.kill(pid, 0)
    // In a container it may be that nobody asks how an orphan ended, which then stays as a zombie.
    return !(existsSync(stat) && readFileSync(stat, 'utf8').includes(') Z '))
  } catch {
    return false
  }
}
