/** Shows a run: a cell per event, and the counts when it is over. */
export function createProofView(expected) {
  const button = document.querySelector('#proof-button')
  const result = document.querySelector('#proof-result')
  const verdict = document.querySelector('#proof-verdict')
  const detail = document.querySelector('#proof-detail')
  const cells = Array.from({ length: expected }, (_, index) => createCell(index))
  document.querySelector('#proof-cells').append(...cells)

  function show(state, text, reason) {
    result.dataset.state = state
    verdict.textContent = text
    detail.textContent = reason
    button.disabled = state === 'running'
  }

  return {
    button,
    isRunning: () => result.dataset.state === 'running',
    begin() {
      for (const cell of cells) cell.className = ''
      for (const name of ['missed', 'twice', 'disordered']) delete result.dataset[name]
      result.dataset.received = '0'
      show('running', 'Cutting …', 'Nothing comes through, for the chart and the chat neither.')
    },
    mark(n, inPlace) {
      cells[n - 1]?.classList.remove('missed')
      cells[n - 1]?.classList.add(inPlace ? 'arrived' : 'wrong')
    },
    progress({ seen, published }) {
      result.dataset.received = String(seen.size)
      if (published === undefined || result.dataset.state !== 'running') return
      for (const cell of cells) cell.classList.add('published')
      show('running', `${published} published, ${seen.size} arrived`, detail.textContent)
    },
    conclude({ seen, missed, twice, disordered, published, wasAway, awayMs }) {
      cells.forEach((cell, index) => {
        if (!seen.has(index + 1)) cell.className = 'missed'
      })
      Object.assign(result.dataset, { missed, twice, disordered })
      const isProof = published !== undefined && awayMs !== undefined && wasAway
      const passed = isProof && missed + twice + disordered === 0
      show(
        passed ? 'passed' : 'failed',
        // No-break spaces keep a count with its name.
        `missed\u00a0${missed} · twice\u00a0${twice} · out\u00a0of\u00a0order\u00a0${disordered}`,
        isProof
          ? `${published} published and ${seen.size} received, after the page was away for ` +
              `${(awayMs / 1000).toFixed(2)} s.`
          : 'The page was not away while they were published, or did not come back in time.',
      )
    },
    fail: (text, reason) => show('failed', text, reason),
  }
}

function createCell(index) {
  const cell = document.createElement('li')
  cell.textContent = String(index + 1)
  cell.style.setProperty('--index', String(index))
  return cell
}
