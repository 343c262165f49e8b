import { type FormEvent, useRef, useState } from 'react'
import { maxNameLength, maxTextLength } from '../lib/message'
import { postMessage } from '../lib/post-message'

export interface ChatFormProps {
  readonly room: string
  /** What the visitor is called at first. */
  readonly guest: string
}

/** Posts what the visitor says. It is shown when it comes back as an event, like everybody's. */
export function ChatForm({ room, guest }: ChatFormProps) {
  const [name, setName] = useState(guest)
  const [text, setText] = useState('')
  const [sending, setSending] = useState(false)
  const [problem, setProblem] = useState('')
  const textInput = useRef<HTMLInputElement>(null)

  async function send(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (sending) return
    setSending(true)
    setProblem('')
    try {
      await postMessage(room, name, text)
      // What was typed since then is the next message.
      setText((typed) => (typed === text ? '' : typed))
    } catch (error) {
      setProblem(`Not sent: ${(error as Error).message}`)
    }
    setSending(false)
    textInput.current?.focus()
  }

  return (
    <form id="chat-form" autoComplete="off" onSubmit={send}>
      <label htmlFor="chat-name">Name</label>
      <input
        id="chat-name"
        maxLength={maxNameLength}
        required
        value={name}
        onChange={({ target }) => setName(target.value)}
      />
      <label htmlFor="chat-text">Message</label>
      <input
        id="chat-text"
        maxLength={maxTextLength}
        required
        placeholder="Say something"
        ref={textInput}
        value={text}
        onChange={({ target }) => setText(target.value)}
      />
      <button type="submit" disabled={sending}>
        Send
      </button>
      <p id="chat-problem" className="problem" role="alert">
        {problem}
      </p>
    </form>
  )
}
