import type { NextConfig } from 'next'

const config: NextConfig = {
  // Development then opens each connection twice, and shows whether the first one is closed.
  reactStrictMode: true,
  poweredByHeader: false,
  // `next dev` would write an AGENTS.md into this folder.
  agentRules: false,
  redirects: async () => [{ source: '/', destination: '/rooms/lobby', permanent: false }],
}

export default config
