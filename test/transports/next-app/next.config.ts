import type { NextConfig } from 'next'

// The `earlierHeader` of all transports. From here Next.js imports only what is in its own folder.
const earlierHeader = { key: 'Access-Control-Allow-Origin', value: 'https://app.example' }

const config: NextConfig = {
  headers: async () =>
    ['/api/:path*', '/web/:path*'].map((source) => ({ source, headers: [earlierHeader] })),
  // `next dev` would write an AGENTS.md into this folder.
  agentRules: false,
}

export default config
