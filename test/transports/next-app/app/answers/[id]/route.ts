import { getEventStreamSingleton } from 'headwater'
import { errorResponse } from 'headwater/fetch'

interface Context {
  readonly params: Promise<{ readonly id: string }>
}

// Routes may have modules of their own.
const holder = globalThis as { goOn?: Map<string, () => void> }
holder.goOn ??= new Map()
const { goOn } = holder

/** A stream with one source, which goes on after its first part once it is told to. */
export async function GET(request: Request, { params }: Context): Promise<Response> {
  const { streams } = getEventStreamSingleton(null, 'answers')
  const { id } = await params
  const source = async function* () {
    const told = new Promise<void>((resolve) => goOn.set(id, resolve))
    yield 'one'
    await told
    yield 'two'
  }
  return streams.fetch(request, id, source).catch(errorResponse)
}

export async function PUT(_request: Request, { params }: Context): Promise<Response> {
  const { id } = await params
  goOn.get(id)?.()
  return new Response(null, { status: 204 })
}
