import uPlot from './uPlot.esm.js'

const shownSeconds = 60
const gapFrameMs = 100

/** The last minute of load samples, and in which part of it the connection was cut. */
export function createChart() {
  const target = document.querySelector('#chart')
  const styles = getComputedStyle(target)
  const color = (name) => styles.getPropertyValue(name)

  let seconds = []
  let cpu = []
  let memory = []
  let gaps = []
  let receivedAt = 0
  let drawing = false
  let gapTimer

  /** The server's time. Samples tell it; without them it goes on. */
  function now() {
    const newest = seconds.at(-1) ?? 0
    return gapTimer === undefined ? newest : newest + (performance.now() - receivedAt) / 1000
  }

  const options = chartOptions(color, now, (u) => {
    drawGaps(u, gaps, now(), color)
    drawNewest(u, seconds.at(-1), cpu.at(-1), color('--cpu'))
  })
  const plot = new uPlot({ ...sizeOf(target), ...options }, [[], [], []], target)

  function draw() {
    // A page that comes back gets many samples at once, and draws them once.
    if (drawing) return
    drawing = true
    requestAnimationFrame(() => {
      drawing = false
      plot.setData([seconds, memory, cpu])
    })
  }

  new ResizeObserver(() => plot.setSize(sizeOf(target))).observe(target)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw(false))

  return {
    add(sample) {
      const at = sample.at / 1000
      // The server's clock may be set back, and the chart needs an order.
      if (at <= (seconds.at(-1) ?? 0)) return
      seconds.push(at)
      cpu.push(sample.cpu)
      memory.push(sample.memory)
      receivedAt = performance.now()
      while (seconds[0] < at - shownSeconds - 1)
        for (const column of [seconds, cpu, memory]) column.shift()
      gaps = gaps.filter(({ to }) => to > at - shownSeconds)
      document.querySelector('#cpu').textContent = `${Math.round(sample.cpu)} %`
      document.querySelector('#memory').textContent = `${Math.round(sample.memory)} %`
      draw()
    },
    /** The connection is lost: time goes on without samples. */
    beginGap() {
      if (gapTimer !== undefined || seconds.length === 0) return
      gapTimer = setInterval(draw, gapFrameMs)
      gaps.push({ from: seconds.at(-1), to: Number.POSITIVE_INFINITY })
    },
    endGap() {
      if (gapTimer === undefined) return
      gaps.at(-1).to = now()
      clearInterval(gapTimer)
      gapTimer = undefined
    },
    clear() {
      seconds = []
      cpu = []
      memory = []
      gaps = []
      draw()
    },
  }
}

function sizeOf({ clientWidth, clientHeight }) {
  return { width: clientWidth, height: clientHeight }
}

function chartOptions(color, now, draw) {
  return {
    padding: [20, 14, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: false, range: () => [now() - shownSeconds, now()] },
      y: { range: [0, 100] },
    },
    axes: axes(color),
    series: [
      {},
      series(() => color('--memory'), { dash: [4, 4] }),
      series(() => color('--cpu'), { width: 2, fill: () => color('--cpu-fill') }),
    ],
    hooks: { draw: [draw] },
  }
}

function series(stroke, options) {
  return { stroke, width: 1.5, points: { show: false }, ...options }
}

function axes(color) {
  const common = {
    stroke: () => color('--muted'),
    font: '12px system-ui, sans-serif',
    ticks: { show: false },
  }
  return [
    {
      ...common,
      grid: { show: false },
      splits: (_u, _axis, min, max) => [min, min + 15, min + 30, min + 45, max],
      values: () => ['', '−45 s', '−30 s', '−15 s', 'now'],
      size: 24,
    },
    {
      ...common,
      grid: { stroke: () => color('--line'), width: 1 },
      splits: () => [0, 50, 100],
      values: (_u, splits) => splits.map((value) => `${value} %`),
      size: 52,
    },
  ]
}

function drawGaps(u, gaps, now, color) {
  const { left, top, width, height } = u.bbox
  u.ctx.save()
  u.ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`
  u.ctx.textAlign = 'center'
  u.ctx.textBaseline = 'bottom'
  for (const { from, to } of gaps) {
    const start = Math.max(left, u.valToPos(from, 'x', true))
    const end = Math.min(left + width, u.valToPos(Math.min(to, now), 'x', true))
    if (end <= start) continue
    u.ctx.fillStyle = color('--gap')
    u.ctx.fillRect(start, top, end - start, height)
    u.ctx.fillStyle = color('--bad')
    u.ctx.fillText('cut', (start + end) / 2, top - 4 * devicePixelRatio)
  }
  u.ctx.restore()
}

function drawNewest(u, seconds, value, fill) {
  if (seconds === undefined) return
  const { ctx } = u
  ctx.beginPath()
  ctx.arc(
    u.valToPos(seconds, 'x', true),
    u.valToPos(value, 'y', true),
    4 * devicePixelRatio,
    0,
    2 * Math.PI,
  )
  ctx.fillStyle = fill
  ctx.fill()
}
