import { fetchHandler } from 'headwater/fetch'
import { type RouteName, routes } from '../../../../../transport'
import { sceneOf } from '../../../../lib/scene'

interface Context {
  readonly params: Promise<{ readonly route: string; readonly room: string }>
}

async function handle(request: Request, context: Context): Promise<Response> {
  const { eventStream } = sceneOf(new URL(request.url).searchParams.get('scene'))
  const { route } = await context.params
  return fetchHandler(eventStream, 'room-{room}', routes[route as RouteName])(request, context)
}

export { handle as DELETE, handle as GET, handle as POST }
