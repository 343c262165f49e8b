import type { NextApiRequest, NextApiResponse } from 'next'
import { sceneOf } from '../../lib/scene'

/** The `Control` of a scene, for the test, which is another process. */
export default async function handle(req: NextApiRequest, res: NextApiResponse): Promise<void> {
  const { control } = sceneOf(req.query.scene)
  if (req.method === 'POST') {
    const { from, to, isBig } = req.body
    res.json(await control.publish(from, to, isBig))
  } else if (req.method === 'DELETE') {
    await control.close()
    res.json(null)
  } else res.json(await control.look())
}
