export const { origin } = self.location
/** Another origin, of the same site. */
export const { other } = self

let count = 0
/** An address of its own for each case, so that the server can count its visits. */
export function at(path, params = {}, origin = '') {
  count += 1
  return `${origin}/${path}?${new URLSearchParams({ n: `${count} ${Math.random()}`, ...params })}`
}

export function must(isRight, message) {
  if (!isRight) throw new Error(message)
}

export function same(actual, wanted, what = 'value') {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)]
  must(a === b, `${what} is ${a}, not ${b}`)
}

/** Runs a case with a source, which is closed behind it. */
export async function using(source, run) {
  try {
    await run(source)
  } finally {
    source.close()
  }
}

export const next = (source, type, isBad = '') =>
  new Promise((resolve, reject) => {
    source.addEventListener(type, resolve, { once: true })
    if (isBad) source.addEventListener(isBad, () => reject(new Error(`There was ${isBad}.`)))
  })

/** The data of so many messages. */
export const dataOf = (source, many, field = 'data') =>
  new Promise((resolve) => {
    const heard = []
    source.onmessage = (event) => {
      heard.push(event[field])
      if (heard.length === many) resolve(heard)
    }
  })

export const hears =
  (message, wanted, params = {}) =>
  () =>
    using(new EventSource(at('message', { message, ...params })), async (source) => {
      same(await dataOf(source, wanted.length), wanted)
    })

export const fails = (make) => () =>
  using(make(), async (source) => {
    const event = await next(source, 'error', 'message')
    same(source.readyState, 2, 'readyState')
    must(!Object.hasOwn(event, 'data'), 'The error has data.')
  })

export const opens = (make) => () =>
  using(make(), async (source) => {
    await next(source, 'open', 'error')
    same(source.readyState, 1, 'readyState')
  })

export const waits = (message, ms) => () =>
  using(new EventSource(at('message', { message })), async (source) => {
    await next(source, 'open')
    const openedAt = performance.now()
    await next(source, 'open')
    const waited = (performance.now() - openedAt) / ms
    must(waited > 0.9 && waited < 1.5, `It came back after ${waited} of the time.`)
  })

export const ids = (message, wanted) => () =>
  using(new EventSource(at('message', { message })), async (source) => {
    same(await dataOf(source, wanted.length, 'lastEventId'), wanted)
  })

export async function runAll(cases) {
  const failed = {}
  const waiting = Object.entries(cases)
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let one = waiting.shift(); one; one = waiting.shift()) {
        const [name, run] = one
        let timer
        const late = new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error('It has not ended.')), 8000)
        })
        await Promise.race([(async () => run())(), late]).catch(({ message }) => {
          failed[name] = message
        })
        clearTimeout(timer)
      }
    }),
  )
  return { count: Object.keys(cases).length, failed }
}
