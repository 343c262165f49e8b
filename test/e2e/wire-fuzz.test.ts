import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Block } from '../../src/core/wire.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { blocksOf, lastEvent, type Piece, received, serve, stream } from '../support/wire-blocks.js'
import { type Heard, PageEventSource } from './page-event-source.js'

interface Served {
  readonly pieces: Piece[]
  readonly chunkSizes: number[]
}

describeWithChromium('the encoder, read by Chromium', (browser) => {
  /** Serves a page, and what is put into the list: the first one at `/0`. */
  async function openPage(streams: readonly Served[]) {
    const { url } = await startServer(async (req, res) => {
      const served = streams[Number(req.url?.slice(1) || Number.NaN)]
      if (served === undefined) res.end('<!doctype html>')
      else await serve(res, served.pieces, served.chunkSizes)
    })
    return browser.openPage(url)
  }

  test('reaches listeners as it was encoded, in whatever chunks it comes', async () => {
    const streams: Served[] = []
    const page = await openPage(streams)

    await fc.assert(
      fc.asyncProperty(stream(120), async (served) => {
        const blocks = blocksOf(served.pieces)
        const names = blocks.map(({ event = 'message' }) => event.toWellFormed())
        const path = `/${streams.push(served) - 1}`

        const source = await PageEventSource.open(page, path, [...names, lastEvent])
        const heard = await source.hears(1, lastEvent)
        await source.close()

        expect(heard.slice(0, -1)).toEqual(expected(blocks))
      }),
      { numRuns: 10, interruptAfterTimeLimit: 40_000 },
    )
  })

  test('reaches listeners when its data is empty', async () => {
    const page = await openPage([{ pieces: [{ block: { data: '', id: '1-1' } }], chunkSizes: [1] }])

    const source = await PageEventSource.open(page, '/0', ['message', lastEvent])
    const heard = await source.hears(1, lastEvent)

    expect(heard[0]).toEqual({ type: 'message', data: '', lastEventId: '1-1' })
  })
})

function expected(blocks: readonly Block[]): Heard[] {
  let lastEventId = ''
  return blocks.map(({ event = 'message', data, id }) => {
    lastEventId = id?.toWellFormed() ?? lastEventId
    return { type: event.toWellFormed(), data: received(data), lastEventId }
  })
}
