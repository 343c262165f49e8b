import { EventStreamError } from './errors.js'

/**
 * What a package that not everybody installs exports. The `import` itself stands in a `try` of the caller, with the
 * name as a literal: so bundlers and tracers take the package along where it is installed, and only warn where it is not.
 *
 * @param name - One of its exports. Bundlers differ in whether those of CommonJS are beside `default`, or only in it.
 */
export function exportsOf<Module extends object>(module: Module, name: keyof Module): Module {
  return name in module ? module : (module as { default: Module }).default
}

/**
 * What an import has failed with.
 *
 * @returns undefined when the package is not installed.
 * @throws EventStreamError `ERR_OPTION` when it is, and cannot be loaded.
 */
export function unlessMissing(name: string, error: unknown): undefined {
  const message = error instanceof Error ? error.message : String(error)
  // Node, webpack and Turbopack; Vite, which gives no code; ncc, which leaves a require in an ES module.
  const isMissing =
    (/cannot find|could not (?:find|resolve)/i.test(message) &&
      [`'${name}'`, `"${name}"`].some((quoted) => message.includes(quoted))) ||
    message === 'require is not defined'
  if (isMissing) return undefined
  throw new EventStreamError(
    'ERR_OPTION',
    `The package ${name} is there, and cannot be loaded: ${message}. If this program is a bundle, leave ${name} out of it (as an "external"), and install it where the program runs.`,
    { cause: error },
  )
}
