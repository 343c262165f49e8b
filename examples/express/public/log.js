const maxLines = 200

/** Lists every event that arrives, newest first. */
export function createLog() {
  const list = document.querySelector('#log')
  const samples = document.querySelector('#log-samples')
  samples.addEventListener('change', () => {
    list.classList.toggle('without-samples', !samples.checked)
  })

  function prepend(name, data, id) {
    const line = document.createElement('li')
    line.dataset.event = name
    line.append(element('span', 'name', name), element('span', 'data', data), id)
    list.prepend(line)
    while (list.childElementCount > maxLines) list.lastElementChild.remove()
  }

  return {
    /** @param before - The id of the event before, to show what has moved. */
    add(name, data, id, before) {
      prepend(name, data.length > 120 ? `${data.slice(0, 119)}…` : data, idElement(id, before))
    },
    /** No event, but what explains the next one: the page comes back with this id. */
    lost(id) {
      prepend('(lost)', 'the page comes back with this Last-Event-ID', idElement(id, id))
    },
  }
}

/** With several channels the id is a position in each; the one that this event moved stands out. */
function idElement(id, before) {
  const known = new Set(before.split('*'))
  const parts = id.split('*').flatMap((part, index) => {
    const shown = element(known.has(part) ? 'span' : 'b', '', part)
    return index === 0 ? [shown] : ['*', shown]
  })
  const whole = element('code', 'id', '')
  whole.append(...parts)
  return whole
}

function element(tag, className, text) {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
