import { type RefObject, type UIEventHandler, useLayoutEffect, useRef } from 'react'

export interface StickToEndProps<Target extends HTMLElement> {
  readonly ref: RefObject<Target | null>
  readonly onScroll: UIEventHandler<Target>
}

/** Keeps an element that grows scrolled to its end, unless the visitor has scrolled up: they are reading there. */
export function useStickToEnd<Target extends HTMLElement>(): StickToEndProps<Target> {
  const target = useRef<Target>(null)
  const atEnd = useRef(true)

  // After each rendering: the element may have grown, or what is above it.
  useLayoutEffect(() => {
    if (atEnd.current) target.current?.scrollTo(0, target.current.scrollHeight)
  })

  return {
    ref: target,
    onScroll({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) {
      atEnd.current = scrollHeight - scrollTop - clientHeight < 40
    },
  }
}
