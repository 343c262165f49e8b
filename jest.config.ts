/** @jest-config-loader esbuild-register */
import type { Config } from 'jest'

const config: Config = {
  testEnvironment: 'node',
  // Most tests wait for something: two at once are done in half the time, also where there are two cores.
  maxWorkers: 2,
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
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
}
export default config
