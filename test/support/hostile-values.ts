import fc from 'fast-check'

/** Text that a store may give, because something else writes where a log does. Each was seen to break something once. */
export const hostileTexts: readonly string[] = [
  '',
  ' ',
  '\n',
  '\r',
  '\0',
  '*',
  '*x',
  '*1-2\n',
  '**1-2',
  '?',
  'null',
  'true',
  '0',
  '-1',
  '[]',
  '{}',
  '""',
  '{"kind":"live"}',
  '=null',
  '=[]',
  '={}',
  '=["1-2",[1]]',
  'this is no JSON',
  'not json\n1-2 3\n\nx',
  // A live message whose entry is escaped, and is then no JSON, or not two texts.
  '0-5\n1-6 6\n\r\n{bad',
  '0-5\n1-6 6\n\r\nnull',
  '0-5\n1-6 6\n\r\n[1,2]',
  '0-5\n1-6 5\n\r\n"a"',
  // Ids that are none, or are no neighbours.
  '0-5\n1-6\r 2\n\n1',
  '0-5\n1-6\nid: 9 2\n\n1',
  '0-5\n2-6 2\n\n1',
  '0-5\n-1-6 2\n\n1',
  '0-5\n1-99999999999 2\n\n1',
  '0-5\n1e3-6 2\n\n1',
  '9007199254740993-5\n9007199254740994-6 2\n\n1',
  // Lengths that are none.
  '0-5\n1-6 -1\n\n1',
  '0-5\n1-6 99999999\n\n1',
  '0-5\n1-6 NaN\n\n1',
  '0-5\n1-6 1\n1',
  '\ud800',
  'stream-end',
  '__proto__',
  'x'.repeat(70_000),
]

/** Values that are not what a field should be. */
export const hostileValues: readonly unknown[] = [
  ...hostileTexts,
  null,
  undefined,
  true,
  0,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  [],
  {},
  [null],
  { id: null },
]

/** Text from a store, from what was seen to break something to anything at all. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...hostileTexts),
  fc.string({ unit: 'binary' }),
  fc.json(),
)

/** Real text with something about it changed: cut, doubled, or with other text in it. */
export function damaged(real: string): fc.Arbitrary<string> {
  const place = fc.nat(real.length)
  return fc.tuple(place, place, fc.oneof(fc.constant(''), hostileText)).map(([a, b, text]) => {
    const [from, to] = a < b ? [a, b] : [b, a]
    return real.slice(0, from) + text + real.slice(to)
  })
}
