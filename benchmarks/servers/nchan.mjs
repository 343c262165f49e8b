// nginx with nchan, one worker. This process starts it and publishes to it over one connection.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../lib/free-port.mjs'
import { nchanModule } from '../lib/servers.mjs'

const directory = mkdtempSync(join(tmpdir(), 'bench-nchan-'))

export const port = await freePort()
writeFileSync(
  join(directory, 'nginx.conf'),
  `load_module ${nchanModule};
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 12000; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location ~ ^/c/(.+)$ { nchan_subscriber; nchan_channel_id $1; }
    location ~ ^/pub/(.+)$ {
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 5m;
    }
  }
}
`,
)
const config = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'log')]
const nginx = spawn('nginx', config, { stdio: ['ignore', 'ignore', 'inherit'] })
process.on('exit', () => {
  nginx.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})
nginx.on('exit', () => process.exit(1))

export const { pid } = nginx

// nginx keeps the CPU that this process was pinned to; its publisher makes room.
const { CLIENT_CPU } = process.env
if (CLIENT_CPU !== undefined) {
  execFileSync('taskset', ['-acp', CLIENT_CPU, String(process.pid)], { stdio: 'ignore' })
}
while (!existsSync(join(directory, 'nginx.pid')) || !(await answers())) {
  await new Promise((resolve) => setTimeout(resolve, 20))
}

function answers() {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.on('error', () => resolve(false)).on('connect', () => socket.end())
  })
}

// One connection, so that the order is kept.
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

export function publish(channel, data) {
  const options = { port, host: '127.0.0.1', method: 'POST', path: `/pub/${channel}`, agent }
  return new Promise((resolve, reject) => {
    const req = request(options, (res) => res.resume().on('end', resolve))
    req.on('error', reject)
    req.end(JSON.stringify(data))
  })
}
