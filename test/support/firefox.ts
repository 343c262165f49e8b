import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, jest } from '@jest/globals'
import { describeWith } from './describe-with.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'

export interface Firefox {
  /**
   * Opens pages as tabs of one window, in a profile of their own. They are closed at the end of the test. There is no
   * way in from outside: what pages see, they have to report.
   */
  openTabs(urls: readonly string[]): Promise<void>
}

/** That it asks nobody and nothing, and lets pages close themselves. */
const preferences = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.aboutwelcome.enabled': false,
  'browser.safebrowsing.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.allow_scripts_to_close_windows': true,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'http://127.0.0.1:9',
  'toolkit.telemetry.enabled': false,
}

/** `describe` for tests in a real Firefox. See `describeWith` for what it does without. */
export function describeWithFirefox(name: string, tests: (browser: Firefox) => void): void {
  describeWith('firefox', name, () => {
    const running: { readonly firefox: OwnProcess; readonly folder: string }[] = []

    afterEach(async () => {
      for (const { firefox, folder } of running.splice(0)) {
        await firefox.end()
        await rm(folder, { recursive: true, force: true, maxRetries: 5 })
      }
    })

    jest.setTimeout(90_000)
    tests({
      async openTabs(urls) {
        const folder = await mkdtemp(join(tmpdir(), 'headwater-firefox-'))
        const profile = join(folder, 'profile')
        await mkdir(profile)
        const lines = Object.entries(preferences).map(
          ([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`,
        )
        await writeFile(join(profile, 'user.js'), lines.join(''))
        const args = ['--headless', '--no-remote', '--profile', profile, ...urls]
        const firefox = await OwnProcess.start(pathOf('firefox'), args, folder)
        running.push({ firefox, folder })
      },
    })
  })
}
