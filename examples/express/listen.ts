import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'

/**
 * Listens on the port that PORT names, 3000 by default; or says in one line why that cannot be, and
 * ends the process.
 *
 * @param host - The address to listen on; by default all of this machine.
 * @returns The port, which is a free one when PORT is 0.
 */
export async function listen(server: Server, host?: string): Promise<number> {
  const port = Number(process.env.PORT || 3000)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    console.error(`PORT is ${process.env.PORT}. Give a number from 0 to 65535: PORT=3000`)
    process.exit(1)
  }
  try {
    await once(server.listen(port, host), 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const inUse = code === 'EADDRINUSE'
    console.error(inUse ? `Port ${port} is in use. Choose another one: PORT=${port + 1}` : message)
    process.exit(1)
  }
  return (server.address() as AddressInfo).port
}
