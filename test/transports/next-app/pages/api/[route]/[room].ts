import type { NextApiRequest, NextApiResponse } from 'next'
import { type RouteName, routes } from '../../../../transport'
import { sceneOf } from '../../../lib/scene'

export default function handle(req: NextApiRequest, res: NextApiResponse): Promise<void> {
  const { eventStream } = sceneOf(req.query.scene)
  return eventStream('room-{room}', routes[req.query.route as RouteName])(req, res)
}
