import type { ReactNode } from 'react'

export interface NoteProps {
  /** Nothing for none. */
  readonly children: ReactNode
}

/** Something that the visitor should know, and that need not interrupt them. */
export function Note({ children }: NoteProps) {
  return (
    // Always there: what is read aloud is what changes in it.
    <div role="status" aria-live="polite">
      {children && (
        <div id="note" className="note">
          {children}
        </div>
      )}
    </div>
  )
}
