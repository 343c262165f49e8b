import { useState } from 'react'
import { stopAnswer } from '../lib/stop-answer'

/** For as long as an answer is being written. */
export function StopButton({ id }: { readonly id: string }) {
  const [stopping, setStopping] = useState(false)
  const [problem, setProblem] = useState('')

  async function stop(): Promise<void> {
    setStopping(true)
    setProblem('')
    try {
      await stopAnswer(id)
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
