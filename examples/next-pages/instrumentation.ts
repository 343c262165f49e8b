/** Called by Next.js once per server process. */
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { endStreamsOnSignals } = await import('./lib/shut-down')
  endStreamsOnSignals()
}
