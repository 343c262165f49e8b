// Sees to it that there is a Chromium for the tests in test/e2e.
//
//   node scripts/ensure-chromium.mjs          finds it, or installs it where apt-get is allowed to
//   node scripts/ensure-chromium.mjs --find   prints its path, or on stderr how to get it
//
// The tests ask with --find, so this file alone says what counts as Chromium.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'

const { env, platform } = process

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

const places = {
  darwin: [
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ],
  win32: [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA]
    .filter(Boolean)
    .map((folder) => join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe')),
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function onPath(name) {
  return (env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find(isProgram)
}

function findChromium() {
  // Whoever names one wants that one, and no other in its place.
  if (env.CHROMIUM_PATH) return isProgram(env.CHROMIUM_PATH) ? env.CHROMIUM_PATH : undefined
  const usual = names.map((name) => join('/usr/bin', name))
  return [...usual, ...(places[platform] ?? [])].find(isProgram) ?? names.map(onPath).find(Boolean)
}

function howToGet() {
  if (env.CHROMIUM_PATH) {
    return (
      `CHROMIUM_PATH is ${env.CHROMIUM_PATH}, where no program is. ` +
      'Correct it, or unset it to use the Chromium that is installed.'
    )
  }
  const command = {
    darwin: 'brew install --cask google-chrome',
    win32: 'winget install Google.Chrome',
  }[platform]
  const install =
    command ?? (hasApt() ? 'apt-get install chromium, as root' : 'your package manager')
  return (
    'The browser tests need Chromium (or Google Chrome), and there is none. ' +
    `Get it by: ${install}. One in another place is used when CHROMIUM_PATH names it.`
  )
}

function hasApt() {
  return existsSync('/etc/debian_version') && onPath('apt-get') !== undefined
}

/** What goes before a command to run it as root; undefined when that takes a password. */
function asRoot() {
  if (process.getuid?.() === 0) return []
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' })
  return sudo.status === 0 ? ['sudo', '-n'] : undefined
}

function installChromium(prefix) {
  console.log(
    'The browser tests need Chromium, and there is none: installing the package chromium by apt-get.',
  )
  const apt = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq']
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const [program, ...rest] = [...apt, ...args]
    // A list that cannot be refreshed is no reason not to try: the package may be known already.
    spawnSync(program, rest, { stdio: ['ignore', 'inherit', 'inherit'] })
  }
}

if (process.argv.includes('--find')) {
  const path = findChromium()
  if (path === undefined) console.error(howToGet())
  else console.log(path)
  process.exitCode = path === undefined ? 1 : 0
} else if (findChromium() === undefined) {
  const prefix = hasApt() && !env.CHROMIUM_PATH ? asRoot() : undefined
  if (prefix !== undefined) installChromium(prefix)
  if (findChromium() === undefined) {
    console.error(howToGet())
    process.exitCode = env.CI ? 1 : 0
  }
}
