/**
 * Imports a package that not everybody installs.
 *
 * @param load - The import itself, so that it stands where bundlers see it.
 * @returns undefined when it is not installed.
 */
export async function optionalPackage<Module>(
  load: () => Promise<Module>,
): Promise<Module | undefined> {
  try {
    return await load()
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
