import { Client, Pool } from 'pg'

/** A pool, and the statements that went over it so far. */
export interface CountedPool {
  readonly pool: Pool
  readonly statements: string[]
}

export function countedPool(url: string): CountedPool {
  const statements: string[] = []
  class Counted extends Client {
    // biome-ignore lint/suspicious/noExplicitAny: the overloads of pg are of no interest here.
    override query(...args: any[]): any {
      statements.push(String(args[0]?.text))
      // biome-ignore lint/suspicious/noExplicitAny: as above.
      return (super.query as any)(...args)
    }
  }
  return { pool: new Pool({ connectionString: url, Client: Counted }), statements }
}
