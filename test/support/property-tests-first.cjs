const Sequencer = require('@jest/test-sequencer').default

/**
 * Runs tests of properties before all others. Once a worker has run a browser, each of its promises costs several
 * times as much: playwright-core uses AsyncLocalStorage, whose hooks Node leaves on.
 */
module.exports = class PropertyTestsFirst extends Sequencer {
  sort(tests) {
    const isProperty = ({ path }) => path.endsWith('.property.test.ts')
    const sorted = super.sort(tests)
    return [...sorted.filter(isProperty), ...sorted.filter((test) => !isProperty(test))]
  }
}
