import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const root = join(__dirname, '../..')

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * A folder in which nothing of this repository is found: `headwater` as it was built, and copies of some packages, with
 * those that they need. End it by `remove`.
 */
export class OwnProject {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  /** @param packages - What is installed beside `headwater`. */
  static async create(packages: readonly string[] = []): Promise<OwnProject> {
    const project = new OwnProject(await mkdtemp(join(tmpdir(), 'headwater-project-')))
    await project.write('package.json', '{ "type": "module", "private": true }')
    await installHeadwater(project.folder)
    const { dependencies = {} } = await manifestOf(root)
    await project.#install([...Object.keys(dependencies), ...packages])
    return project
  }

  async write(file: string, text: string): Promise<string> {
    const path = join(this.folder, file)
    await writeFile(path, text)
    return path
  }

  /** Does something while nothing of it is where it was. */
  async away<Result>(action: () => Promise<Result>): Promise<Result> {
    const elsewhere = `${this.folder}-away`
    await rename(this.folder, elsewhere)
    try {
      return await action()
    } finally {
      await rename(elsewhere, this.folder)
    }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Each with what it needs: beside it, or in its own folder, where it is copied along. */
  async #install(names: readonly string[]): Promise<void> {
    const found = new Set<string>()
    const find = async (name: string, users: readonly string[]): Promise<void> => {
      const at = users.map((user) => join(user, 'node_modules', name))
      for (const folder of at) {
        const manifest = await manifestOf(folder).catch(() => undefined)
        if (manifest === undefined) continue
        if (found.has(folder)) return
        found.add(folder)
        const { dependencies, optionalDependencies } = manifest
        for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) {
          await find(needed, [folder, ...users])
        }
        return
      }
    }
    for (const name of names) await find(name, [root])
    for (const folder of found) {
      const to = join(this.folder, folder.slice(root.length))
      await mkdir(dirname(to), { recursive: true })
      await cp(folder, to, { recursive: true, filter: isForNode })
    }
  }
}

/** As `npm install headwater` would: what `npm test` has built. */
export async function installHeadwater(folder: string): Promise<string> {
  const to = join(folder, 'node_modules/headwater')
  await mkdir(to, { recursive: true })
  await cp(join(root, 'dist'), join(to, 'dist'), { recursive: true, filter: isForNode })
  await cp(join(root, 'package.json'), join(to, 'package.json'))
  return to
}

/** Most files are types and source maps. */
function isForNode(path: string): boolean {
  return !/\.(?:[cm]?ts|map|md)$/.test(path)
}

async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
}
