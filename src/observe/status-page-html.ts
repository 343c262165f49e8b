import { statusPageScript } from './status-page-script.js'
import { statusPageStyle } from './status-page-style.js'

const icon =
  'data:image/svg+xml,' +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="#00767d"/>' +
      '<path d="M2 9c2-3 4-3 6 0s4 3 6 0" fill="none" stroke="#fff" stroke-width="2"/></svg>',
  )

const charts = [
  { id: 'connections', title: 'Connections', detail: 'open streams' },
  { id: 'published', title: 'Published', detail: 'events per second' },
  { id: 'deliveries', title: 'Delivered', detail: 'events to clients per second' },
  { id: 'bytes', title: 'Sent', detail: 'written to clients' },
  { id: 'resets', title: 'Resets', detail: 'clients that missed something for good' },
]

/**
 * The page without any data, which its script asks for and shows as text.
 *
 * @param pollMs - Milliseconds after which it asks again.
 */
export function statusPageHtml(pollMs: number): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>Status · headwater</title>
    <link rel="icon" href="${icon}">
    <style>${statusPageStyle}</style>
  </head>
  <body data-poll-ms="${pollMs}">
    <header>
      <div>
        <h1>Event stream</h1>
        <p id="process" class="quiet">Waiting for the server</p>
      </div>
      <p id="status" class="status" role="status" data-state="waiting">Waiting</p>
    </header>

    <p id="notice" class="notice" role="alert" hidden></p>

    <noscript><p class="notice">This page needs JavaScript to show anything.</p></noscript>

    <main id="main">
      <div class="cards">
        ${charts.map(card).join('\n        ')}
        <section aria-labelledby="slow-title">
          <h2 id="slow-title">Slow clients</h2>
          <p class="figure"><span id="behind">–</span></p>
          <p class="quiet">behind what is published</p>
          <dl id="slow" class="facts"></dl>
        </section>
      </div>

      <div class="columns">
        <div class="stack">
          <section aria-labelledby="health-title">
            <h2 id="health-title">Health</h2>
            <ul id="parts" class="parts"></ul>
          </section>
          <section aria-labelledby="streams-title">
            <h2 id="streams-title">Streams</h2>
            <p id="no-streams" class="quiet" hidden></p>
            <h3 id="all-streams" hidden>Of all processes</h3>
            <dl id="streams" class="facts"></dl>
            <h3>Of this process</h3>
            <dl id="own-streams" class="facts"></dl>
            <h3>Guardian</h3>
            <dl id="guardian" class="facts"></dl>
          </section>
        </div>

        <section aria-labelledby="channels-title">
          <div class="heading">
            <h2 id="channels-title">Channels</h2>
            <p id="channel-count" class="quiet"></p>
          </div>
          <div class="scrolls" role="region" aria-labelledby="channels-title" tabindex="0">
            <table>
              <thead><tr><th scope="col">Channel</th><th scope="col" class="number">Connections</th></tr></thead>
              <tbody id="channels"></tbody>
            </table>
          </div>
          <p id="other-channels" class="quiet" hidden></p>
        </section>

        <section aria-labelledby="totals-title">
          <div class="heading">
            <h2 id="totals-title">Since the start</h2>
            <p id="since" class="quiet"></p>
          </div>
          <h3>Streams to clients</h3>
          <dl id="closed" class="facts"></dl>
          <h3>Publishing</h3>
          <dl id="publishing" class="facts"></dl>
          <h3>Catching up</h3>
          <dl id="catching-up" class="facts"></dl>
          <h3>Errors</h3>
          <dl id="errors" class="facts"></dl>
        </section>
      </div>
    </main>
    <script>${statusPageScript}</script>
  </body>
</html>
`
}

function card({ id, title, detail }: (typeof charts)[number]): string {
  return `<section aria-labelledby="${id}-title">
          <h2 id="${id}-title">${title}</h2>
          <p class="figure"><span id="${id}-now">–</span></p>
          <p class="quiet">${detail}</p>
          <svg id="${id}-chart" class="chart" viewBox="0 0 300 64" preserveAspectRatio="none" role="img"></svg>
          <p class="axis quiet"><span class="from"></span><span id="${id}-most"></span></p>
        </section>`
}
