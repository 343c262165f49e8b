import fc from 'fast-check'

/** What clients and the network do in each simulation of lives. `client` is the number of one. */
export function movesOf(client: fc.Arbitrary<number>) {
  return [
    {
      weight: 12,
      arbitrary: fc.record({ do: fc.constant('connect'), client, process: fc.nat(1) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('cut'),
        client,
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    {
      weight: 36,
      arbitrary: fc.record({
        do: fc.constant('pass'),
        which: fc.nat(20),
        times: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 15, arbitrary: fc.record({ do: fc.constant('turn') }) },
  ] as const
}
