import { expect, test } from '@jest/globals'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { BlockParser, type SeenBlock } from '../../src/doctor/block-parser.js'
import { chunksOf, encode, stream } from '../support/wire-blocks.js'

const parse = (texts: Iterable<string>) => {
  const blocks: SeenBlock[] = []
  const retries: number[] = []
  let comments = 0
  const parser = new BlockParser({
    onBlock: (block) => blocks.push(block),
    onComment: () => {
      comments += 1
    },
    onRetry: (ms) => retries.push(ms),
  })
  for (const text of texts) parser.push(text)
  return { blocks, retries, comments, isMidBlock: parser.isMidBlock }
}

const firstLine = (data: string) => data.split('\n')[0] as string

test('reads what another parser reads, however it is cut', () => {
  fc.assert(
    fc.property(stream(12), ({ pieces, chunkSizes }) => {
      const decoder = new TextDecoder()
      const bytes = Buffer.from(encode(pieces))
      const texts = [...chunksOf(bytes, chunkSizes)].map((it) =>
        decoder.decode(it, { stream: true }),
      )
      const expected: SeenBlock[] = []
      const parser = createParser({
        onEvent: ({ event = 'message', id, data }) =>
          expected.push({ event, id, data: firstLine(data) }),
      })
      parser.feed(texts.join(''))
      expect(parse(texts).blocks).toEqual(expected)
    }),
  )
})

test('takes all three line ends, also when CR and LF come apart', () => {
  const { blocks } = parse(['data: 1\r', '\n\r', '\n', 'data: 2\r\rdata: 3\n\n'])
  expect(blocks.map(({ data }) => data)).toEqual(['1', '2', '3'])
})

test('takes a retry at once, and only a number', () => {
  expect(parse(['retry: 20\nretry: soon\n']).retries).toEqual([20])
})

test.each([
  ['data: 1\n\n', false],
  [':\n', false],
  ['data: 1\n\nda', true],
  ['data: 1\n', true],
])('knows whether a block is open after %j', (text, isMidBlock) => {
  expect(parse([text]).isMidBlock).toBe(isMidBlock)
})

test('keeps no more of a line than an id needs', () => {
  const { blocks } = parse([...Array(100).fill('data: '.repeat(1000)), '\n\n'])
  expect(blocks[0]?.data.length).toBeLessThan(10_000)
})
