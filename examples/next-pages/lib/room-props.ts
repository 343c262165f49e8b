import { randomInt } from 'node:crypto'
import type { GetServerSideProps } from 'next'
import { isId } from './message'

export interface RoomProps {
  readonly name: string
  /** What the visitor is called at first. */
  readonly guest: string
}

/** Of a room's page, from its address. */
export const getRoomProps: GetServerSideProps<RoomProps> = async ({ params }) => {
  const name = params?.id
  if (!isId(name)) return { notFound: true }
  // Chosen here, so that the server's rendering and the browser's are the same.
  return { props: { name, guest: `Guest ${randomInt(100, 1000)}` } }
}
