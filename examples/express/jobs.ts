/** What is known of a job beside what its stream says: a file that it has written, or how its worker is to die. */
type JobField = 'csv' | 'death'

/** Stands for a table of jobs in the application's database, which all processes have in common. */
export interface Jobs {
  set(id: string, field: JobField, value: string): Promise<void>
  get(id: string, field: JobField): Promise<string | undefined>
  close(): void
}

const keptSeconds = 3600
const maxKept = 1000

/** @param redisUrl - Where they are kept when there may be several processes; by default in this one. */
export async function openJobs(redisUrl: string | undefined): Promise<Jobs> {
  return redisUrl ? redisJobs(redisUrl) : memoryJobs()
}

function memoryJobs(): Jobs {
  const jobs = new Map<string, Map<JobField, string>>()
  return {
    async set(id, field, value) {
      jobs.set(id, (jobs.get(id) ?? new Map()).set(field, value))
      if (jobs.size > maxKept) jobs.delete(jobs.keys().next().value as string)
    },
    get: async (id, field) => jobs.get(id)?.get(field),
    close: () => jobs.clear(),
  }
}

async function redisJobs(url: string): Promise<Jobs> {
  const { Redis } = await import('ioredis')
  const redis = new Redis(url)
  // The event stream tells of a Redis that is away.
  redis.on('error', () => undefined)
  const keyOf = (id: string) => `example-job:${id}`
  return {
    async set(id, field, value) {
      await redis.multi().hset(keyOf(id), field, value).expire(keyOf(id), keptSeconds).exec()
    },
    get: async (id, field) => (await redis.hget(keyOf(id), field)) ?? undefined,
    close: () => redis.disconnect(),
  }
}
