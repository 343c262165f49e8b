import { outcomes } from './uses.mjs'

const timeout = setTimeout(() => process.exit(1), 20_000)
process.on('warning', () => undefined)
void outcomes().then((found) => {
  clearTimeout(timeout)
  process.stdout.write(JSON.stringify(found), () => process.exit())
})
