import { runAll } from './case-tools.js'
import { basic, closing, formats, refusals, withoutNew } from './cases.js'
import { inWindow } from './cases-in-windows.js'

const lists = {
  window: { ...basic, ...formats, ...closing, ...inWindow },
  formats: { ...basic, ...formats },
  worker: { ...refusals, ...basic, ...closing, ...withoutNew },
  'shared worker': { ...refusals, ...basic, ...closing },
}

export const run = (list) => runAll(lists[list])
