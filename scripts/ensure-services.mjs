// Sees to it that the programs are there which tests need beside Node.
//
//   node scripts/ensure-services.mjs                finds them, or installs them where apt-get is allowed to
//   node scripts/ensure-services.mjs --find NAME    prints the path of one, or on stderr how to get it
//
// The tests ask with --find, so this file alone says what counts as such a program.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'

const { env, platform } = process

/**
 * By the name that tests ask for: who needs it (`tests`), what it is (`title`), the programs that will
 * do, best first, `places` by platform to look in as well, the environment variable that names another
 * one, its Debian package, and by platform how else to install it.
 */
const services = {
  chromium: {
    tests: 'The browser tests',
    title: 'Chromium (or Google Chrome)',
    programs: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    places: {
      darwin: [
        '/Applications/Chromium.app/Contents/MacOS/Chromium',
        '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
      ],
      win32: [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA]
        .filter(Boolean)
        .map((folder) => join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe')),
    },
    variable: 'CHROMIUM_PATH',
    debianPackage: 'chromium',
    install: {
      darwin: 'brew install --cask google-chrome',
      win32: 'winget install Google.Chrome',
    },
  },
  faketime: {
    tests: 'The tests with clocks that are wrong',
    title: 'faketime',
    programs: ['faketime'],
    variable: 'FAKETIME_PATH',
    debianPackage: 'faketime',
    install: { darwin: 'brew install libfaketime', win32: 'apt-get install faketime, in WSL' },
  },
  firefox: {
    tests: 'The tests of the client',
    title: 'Firefox (128 or later)',
    programs: ['firefox-esr', 'firefox'],
    places: {
      darwin: ['/Applications/Firefox.app/Contents/MacOS/firefox'],
      win32: [env.PROGRAMFILES, env['PROGRAMFILES(X86)']]
        .filter(Boolean)
        .map((folder) => join(folder, 'Mozilla Firefox', 'firefox.exe')),
    },
    variable: 'FIREFOX_PATH',
    debianPackage: 'firefox-esr',
    install: {
      darwin: 'brew install --cask firefox',
      win32: 'winget install Mozilla.Firefox',
    },
  },
  nginx: {
    tests: 'The tests behind a proxy',
    title: 'nginx (1.20 or later)',
    programs: ['nginx'],
    places: {
      // Which is in the PATH of root only.
      linux: ['/usr/sbin/nginx'],
      darwin: ['/opt/homebrew/bin/nginx', '/usr/local/bin/nginx'],
    },
    variable: 'NGINX_PATH',
    debianPackage: 'nginx',
    install: { darwin: 'brew install nginx', win32: 'apt-get install nginx, in WSL' },
  },
  pgbouncer: {
    tests: 'The tests behind a pooler of Postgres',
    title: 'PgBouncer (1.18 or later)',
    programs: ['pgbouncer'],
    places: {
      // Which is in the PATH of root only.
      linux: ['/usr/sbin/pgbouncer'],
      darwin: ['/opt/homebrew/bin/pgbouncer', '/usr/local/bin/pgbouncer'],
    },
    variable: 'PGBOUNCER_PATH',
    debianPackage: 'pgbouncer',
    install: { darwin: 'brew install pgbouncer', win32: 'apt-get install pgbouncer, in WSL' },
  },
  pushpin: {
    tests: 'The GRIP tests',
    title: 'Pushpin (1.36 or later)',
    programs: ['pushpin'],
    places: { darwin: ['/opt/homebrew/bin/pushpin', '/usr/local/bin/pushpin'] },
    variable: 'PUSHPIN_PATH',
    debianPackage: 'pushpin',
    install: { darwin: 'brew install pushpin', win32: 'apt-get install pushpin, in WSL' },
  },
  postgresql: {
    tests: 'The Postgres tests',
    title: 'PostgreSQL (13 or later)',
    // Debian keeps what makes a server out of the PATH, in a folder for each version, and so does Homebrew.
    programs: ['postgres'],
    places: {
      linux: newestOf('/usr/lib/postgresql', 'bin/postgres'),
      darwin: ['/opt/homebrew/opt', '/usr/local/opt'].flatMap((folder) =>
        newestOf(folder, 'bin/postgres', /^postgresql(?:@|$)/),
      ),
    },
    variable: 'POSTGRES_PATH',
    debianPackage: 'postgresql',
    install: { darwin: 'brew install postgresql', win32: 'apt-get install postgresql, in WSL' },
  },
  'redis-server': {
    tests: 'The Redis tests',
    title: 'redis-server (7.0 or later)',
    programs: ['redis-server'],
    places: { darwin: ['/opt/homebrew/bin/redis-server', '/usr/local/bin/redis-server'] },
    variable: 'REDIS_SERVER_PATH',
    debianPackage: 'redis-server',
    install: { darwin: 'brew install redis', win32: 'apt-get install redis-server, in WSL' },
  },
  varnish: {
    tests: 'The tests behind a cache',
    title: 'Varnish (7.0 or later)',
    programs: ['varnishd'],
    places: {
      // Which is in the PATH of root only.
      linux: ['/usr/sbin/varnishd'],
      darwin: ['/opt/homebrew/sbin/varnishd', '/usr/local/sbin/varnishd'],
    },
    variable: 'VARNISHD_PATH',
    debianPackage: 'varnish',
    install: { darwin: 'brew install varnish', win32: 'apt-get install varnish, in WSL' },
  },
}

/** A program in each folder of a folder, that of the highest version first. */
function newestOf(folder, program, pattern = /^\d/) {
  if (!existsSync(folder)) return []
  const versionOf = (name) => Number.parseFloat(name.replace(/^\D+/, '')) || 0
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort((a, b) => versionOf(b) - versionOf(a))
    .map((name) => join(folder, name, program))
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

function find({ programs, places = {}, variable }) {
  const named = env[variable]
  // Whoever names one wants that one, and no other in its place.
  if (named) return isProgram(named) ? named : undefined
  const usual = programs.map((name) => join('/usr/bin', name))
  return (
    [...usual, ...(places[platform] ?? [])].find(isProgram) ?? programs.map(onPath).find(Boolean)
  )
}

function howToGet({ tests, title, variable, debianPackage, install }) {
  if (env[variable]) {
    return (
      `${variable} is ${env[variable]}, where no program is. ` +
      `Correct it, or unset it to use the ${title} that is installed.`
    )
  }
  const command =
    install[platform] ??
    (hasApt() ? `apt-get install ${debianPackage}, as root` : 'your package manager')
  return (
    `${tests} need ${title}, and there is none. ` +
    `Get it by: ${command}. One in another place is used when ${variable} names it.`
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

// Debian starts a server once it is installed, but for a policy that says no; tests start their own.
// A list that cannot be refreshed is no reason not to try: the package may be known already.
const installScript = `
  policy=/usr/sbin/policy-rc.d
  if ! [ -e $policy ] && ! [ -L $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >$policy
    chmod 755 $policy
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  for package; do
    apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$package"
  done`

function install(missing, prefix) {
  for (const { tests, title, debianPackage } of missing) {
    console.log(
      `${tests} need ${title}, and there is none: installing the package ${debianPackage} by apt-get.`,
    )
  }
  const packages = missing.map(({ debianPackage }) => debianPackage)
  const [program, ...args] = [...prefix, 'sh', '-c', installScript, 'install', ...packages]
  spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
}

function ensureAll() {
  const missing = Object.values(services).filter((service) => find(service) === undefined)
  const installable = hasApt() ? missing.filter(({ variable }) => !env[variable]) : []
  const prefix = installable.length > 0 ? asRoot() : undefined
  if (prefix !== undefined) install(installable, prefix)
  const stillMissing = missing.filter((service) => find(service) === undefined)
  for (const service of stillMissing) console.error(howToGet(service))
  if (stillMissing.length > 0 && env.CI) process.exitCode = 1
}

function printPath(name) {
  const service = services[name]
  if (service === undefined) {
    throw new Error(`--find takes one of: ${Object.keys(services).join(', ')}.`)
  }
  const path = find(service)
  if (path === undefined) console.error(howToGet(service))
  else console.log(path)
  process.exitCode = path === undefined ? 1 : 0
}

const [option, name] = process.argv.slice(2)
if (option === '--find') printPath(name)
else ensureAll()
