/** As modules: what is loaded by `import()` is a file of its own, as in applications. */
const modifyEsbuildConfig = (config) => ({ ...config, format: 'esm', splitting: true })
const client = { path: 'dist/client.js', gzip: true, modifyEsbuildConfig }
const parser = 'eventsource-parser'

module.exports = [
  {
    ...client,
    name: 'createEventSource',
    import: '{ createEventSource }',
    ignore: [parser, '*/tabs.js'],
    limit: '5.2 kB',
  },
  {
    ...client,
    name: 'createEventSource, with what shareTabs loads',
    import: '{ createEventSource }',
    ignore: [parser],
    limit: '5.9 kB',
  },
  { ...client, name: 'all of headwater/client', import: '*', ignore: [parser], limit: '6.9 kB' },
  { ...client, name: 'all, with eventsource-parser', import: '*', limit: '8.1 kB' },
  {
    name: 'headwater/react, without the client and React',
    path: 'dist/react.js',
    gzip: true,
    import: '*',
    ignore: ['react', './dist/client.js', '*/check-options.js'],
    limit: '3.2 kB',
  },
  {
    name: 'headwater/react, with the client',
    path: 'dist/react.js',
    gzip: true,
    modifyEsbuildConfig,
    import: '*',
    ignore: ['react'],
    limit: '10 kB',
  },
]
