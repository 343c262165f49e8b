/** What the status page looks like: the colours of the examples, light or dark. */
export const statusPageStyle = `
:root {
  color-scheme: light dark;
  --ground: #f5f7f6;
  --surface: #ffffff;
  --ink: #11211f;
  --muted: #55656a;
  --line: #dbe2e1;
  --accent: #00767d;
  --fill: rgb(0 118 125 / 12%);
  --good: #1c7f49;
  --warn: #9a4a00;
  --bad: #b3261e;
  --notice: #fff3e0;
}

@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0c1416;
    --surface: #121d20;
    --ink: #e6efee;
    --muted: #94a7aa;
    --line: #253437;
    --accent: #55cfc9;
    --fill: rgb(85 207 201 / 14%);
    --good: #6fdc9a;
    --warn: #ffbf73;
    --bad: #ff8a80;
    --notice: #2b2012;
  }
}

* {
  box-sizing: border-box;
}

body {
  margin: 0 auto;
  max-width: 84rem;
  padding: clamp(1rem, 2.5vw, 2rem);
  background: var(--ground);
  color: var(--ink);
  font:
    0.9375rem / 1.5 system-ui,
    -apple-system,
    "Segoe UI",
    Roboto,
    sans-serif;
  font-variant-numeric: tabular-nums;
}

h1,
h2,
h3,
p,
dl,
dd,
ul {
  margin: 0;
  padding: 0;
}

ul {
  list-style: none;
}

[hidden] {
  display: none !important;
}

header {
  display: flex;
  flex-wrap: wrap;
  gap: 0.75rem 2rem;
  align-items: center;
  justify-content: space-between;
  margin-bottom: 1.25rem;
}

h1 {
  font-size: 1.75rem;
  font-weight: 700;
  letter-spacing: -0.025em;
  line-height: 1.2;
}

h2 {
  font-size: 1rem;
  font-weight: 650;
}

h3 {
  margin-top: 1rem;
  color: var(--muted);
  font-size: 0.8125rem;
  font-weight: 600;
}

.quiet {
  color: var(--muted);
  font-size: 0.8125rem;
}

.status {
  display: flex;
  gap: 0.6rem;
  align-items: center;
  padding: 0.35rem 1rem 0.35rem 0.8rem;
  border: 1px solid var(--line);
  border-radius: 99rem;
  background: var(--surface);
  font-weight: 600;
}

.status::before,
.parts .dot {
  flex: none;
  width: 0.7rem;
  height: 0.7rem;
  border-radius: 50%;
  background: var(--muted);
  content: "";
}

.status[data-state="ok"]::before,
.parts [data-state="up"] .dot {
  background: var(--good);
}

.status[data-state="degraded"]::before,
.parts [data-state="connecting"] .dot {
  background: var(--warn);
}

.status[data-state="unavailable"],
.status[data-state="closing"],
.status[data-state="away"] {
  border-color: var(--bad);
  color: var(--bad);
}

.status[data-state="unavailable"]::before,
.status[data-state="closing"]::before,
.status[data-state="away"]::before,
.parts [data-state="down"] .dot {
  background: var(--bad);
}

.notice {
  margin-bottom: 1.25rem;
  padding: 0.75rem 1.25rem;
  border: 1px solid var(--warn);
  border-radius: 0.75rem;
  background: var(--notice);
  color: var(--warn);
}

/* What is shown is old. */
.stale {
  opacity: 0.5;
}

section {
  min-width: 0;
  padding: 1rem 1.25rem;
  border: 1px solid var(--line);
  border-radius: 0.875rem;
  background: var(--surface);
}

.cards,
.columns,
.stack {
  display: grid;
  gap: 1rem;
}

.cards {
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  margin-bottom: 1rem;
}

.columns {
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  align-items: start;
}

.heading {
  display: flex;
  flex-wrap: wrap;
  gap: 0 1rem;
  align-items: baseline;
  justify-content: space-between;
  margin-bottom: 0.5rem;
}

.figure {
  font-size: 2rem;
  font-weight: 650;
  letter-spacing: -0.03em;
  line-height: 1.2;
}

.figure[data-state="warn"] {
  color: var(--warn);
}

.chart {
  display: block;
  width: 100%;
  height: 4rem;
  margin-top: 0.75rem;
  border-bottom: 1px solid var(--line);
  overflow: visible;
}

.chart .area {
  fill: var(--fill);
}

.chart .line {
  fill: none;
  stroke: var(--accent);
  stroke-width: 1.5;
  stroke-linejoin: round;
  vector-effect: non-scaling-stroke;
}

.axis {
  display: flex;
  justify-content: space-between;
  margin-top: 0.25rem;
}

.scrolls {
  max-height: 34rem;
  overflow-y: auto;
}

:focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}

table {
  width: 100%;
  border-collapse: collapse;
}

th {
  position: sticky;
  top: 0;
  padding: 0 0 0.25rem;
  background: var(--surface);
  color: var(--muted);
  font-size: 0.8125rem;
  font-weight: 600;
  text-align: left;
}

td {
  padding: 0.3rem 0;
  border-top: 1px solid var(--line);
}

td:first-child {
  overflow-wrap: anywhere;
}

.number {
  padding-left: 1rem;
  text-align: right;
  white-space: nowrap;
}

#other-channels {
  margin-top: 0.5rem;
}

.facts {
  margin-top: 0.25rem;
}

.facts div {
  display: flex;
  gap: 1rem;
  justify-content: space-between;
  padding: 0.15rem 0;
}

.facts dt {
  color: var(--muted);
}

.facts dd {
  font-weight: 550;
  text-align: right;
  white-space: nowrap;
}

.facts dd[data-state="warn"] {
  color: var(--warn);
}

.parts li {
  display: flex;
  flex-wrap: wrap;
  gap: 0 0.6rem;
  align-items: baseline;
  padding: 0.3rem 0;
}

.parts .name {
  flex: 1 1 8rem;
  overflow-wrap: anywhere;
}

.parts .why {
  flex-basis: 100%;
  padding-left: 1.3rem;
}
`
