// The servers that are compared.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where Debian's libnginx-mod-nchan puts it. */
export const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so'

/** Names in the tables, by file in `servers/`. */
export const labels = {
  headwater: '**headwater**, Express',
  'bare-net': 'bare `net`, one buffer',
  nchan: 'nginx + nchan (C)',
  'naive-http': '`res.write` loop, `node:http`',
  'naive-express': '`res.write` loop, Express',
  'better-sse': 'better-sse, Express',
  eventstream: '@fanoutio/eventstream, Express',
}

/** nchan is compared where it is installed. */
export const hasNchan =
  existsSync(nchanModule) && spawnSync('nginx', ['-v'], { stdio: 'ignore' }).status === 0

export const allServers = Object.keys(labels).filter((name) => name !== 'nchan' || hasNchan)
