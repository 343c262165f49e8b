import { useEffect, useState } from 'react'
import type { Connection } from '../lib/connection'

export interface ConnectionStatusProps extends Connection {
  readonly state: string
  /** The state, as it is read. */
  readonly label: string
}

/** How the connection does, and the seconds until it is tried again. */
export function ConnectionStatus({ state, label, ...connection }: ConnectionStatusProps) {
  const seconds = useSecondsLeft(connection)
  return (
    <p id="status" className="status" role="status" aria-live="polite" data-state={state}>
      {label}
      {/* A countdown would be read aloud each second. */}
      {seconds > 0 && <span aria-hidden="true">in {seconds} s</span>}
    </p>
  )
}

function useSecondsLeft({ error, retryInMs = 0 }: Connection): number {
  const [seconds, setSeconds] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: with each error it waits anew.
  useEffect(() => {
    const retryAt = performance.now() + retryInMs
    const count = () => setSeconds(Math.ceil((retryAt - performance.now()) / 1000))
    count()
    if (retryInMs === 0) return
    const timer = setInterval(count, 250)
    return () => clearInterval(timer)
  }, [error, retryInMs])
  return seconds
}
