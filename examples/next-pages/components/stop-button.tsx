import { useState } from 'react'

export interface StopButtonProps {
  readonly onStop: () => Promise<void>
}

/** For as long as an answer is being written. */
export function StopButton({ onStop }: StopButtonProps) {
  const [stopping, setStopping] = useState(false)
  const [problem, setProblem] = useState('')

  async function stop(): Promise<void> {
    setStopping(true)
    setProblem('')
    try {
      await onStop()
    } catch (error) {
      setStopping(false)
      setProblem(`Not stopped: ${(error as Error).message}`)
    }
  }

  return (
    <>
      <button id="stop-button" type="button" className="plain" disabled={stopping} onClick={stop}>
        Stop
      </button>
      <p className="problem" role="alert">
        {problem}
      </p>
    </>
  )
}
