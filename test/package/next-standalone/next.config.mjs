/** @type {import('next').NextConfig} */
export default {
  output: 'standalone',
  // `next dev` would write an AGENTS.md into this folder.
  agentRules: false,
}
