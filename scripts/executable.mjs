// Lets the files named on the command line be run as programs: npm does so where it installs them, and not in a clone.
import { chmodSync } from 'node:fs'

for (const file of process.argv.slice(2)) chmodSync(file, 0o755)
