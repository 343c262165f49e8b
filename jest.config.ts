/** @jest-config-loader esbuild-register */
import type { Config } from 'jest'

const config: Config = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {
    '^.+\\.[jt]sx?$': [
      'ts-jest',
      {
        tsconfig: {
          allowJs: true,
          esModuleInterop: true,
          isolatedModules: true,
          module: 'commonjs',
          moduleResolution: 'bundler',
          rootDir: '.',
          target: 'es2022',
        },
      },
    ],
  },
  // These packages are ES modules only, and Jest on Node 20 runs CommonJS: compile them too.
  transformIgnorePatterns: ['/node_modules/(?!eventsource/|eventsource-parser/|@fanoutio/)'],
  // A test that waits for what never comes fails all the same. One on a busy machine is only slow.
  testTimeout: 20_000,
  testSequencer: '<rootDir>/test/support/property-tests-first.cjs',
  // A worker that has run a hundred files holds so much that everything in it is slow.
  workerIdleMemoryLimit: '700MB',
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
}
export default config
