import { join } from 'node:path'
import { expect } from '@jest/globals'
import { buildSync } from 'esbuild'
import type { RequestHandler } from 'express'
import type { Page } from 'playwright-core'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import type { StreamStatus } from '../../src/react.js'
import type { Chromium } from '../support/browser.js'
import { until } from '../support/until.js'
import { App, type Subject } from './components.js'

/** What a component in the page has rendered. */
export interface Look {
  readonly renders: number
  readonly status: StreamStatus
  /** Such as `message 1`. */
  readonly events: readonly string[]
  readonly sum: number
  readonly heard: readonly string[]
  readonly tokens: readonly (string | undefined)[]
  readonly resets: number
  readonly resetReasons: readonly string[]
  readonly lastEventId: string
  readonly error?: { readonly code: string; readonly status?: number }
  readonly text: string
  readonly end?: { readonly state?: string; readonly reason?: string; readonly result?: unknown }
  readonly ends: readonly string[]
  readonly missing?: string
}

interface LabWindow {
  readonly lab: {
    render(subjects: readonly Subject[]): void
    hydrate(subjects: readonly Subject[]): void
    call(name: string, method: string): Promise<unknown>
    look(name: string): Look | undefined
  }
}
declare const window: LabWindow

/** Packages that pages get instead of others. */
type Aliases = Readonly<Record<string, string>>

const bundles = new Map<Aliases, string>()

/** The components and React, as pages get them: its development build complains and mounts twice. */
function bundle(alias: Aliases): string {
  const known = bundles.get(alias)
  if (known !== undefined) return known
  const { outputFiles } = buildSync({
    entryPoints: [join(__dirname, 'pages/lab.ts')],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: { ...alias },
    write: false,
  })
  const text = outputFiles[0]?.text ?? ''
  bundles.set(alias, text)
  return text
}

/** Answers with a page, in which these components were rendered by the server. */
export function labPage(subjects: readonly Subject[] = []): RequestHandler {
  return (_req, res) => {
    const markup = renderToString(createElement(App, { subjects }))
    res.type('html').send(
      `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
       <div id="root">${markup}</div><script src="/lab.js"></script>`,
    )
  }
}

const none: Aliases = {}

export function labScript(alias = none): RequestHandler {
  return (_req, res) => {
    res.type('js').send(bundle(alias))
  }
}

/** Components in a page, and what they render. */
export class LabPage {
  readonly page: Page
  /** Errors and warnings of the page, but for what the browser says of its network. */
  readonly complaints: string[] = []

  private constructor(page: Page) {
    this.page = page
    page.on('pageerror', (error) => this.complaints.push(String(error)))
    page.on('console', (message) => {
      const isNetwork = /^Failed to load resource/.test(message.text())
      if (['error', 'warning'].includes(message.type()) && !isNetwork) {
        this.complaints.push(message.text())
      }
    })
  }

  static async open(browser: Chromium, url: string): Promise<LabPage> {
    return new LabPage(await browser.openPage(url))
  }

  /** Another tab of the same browser. */
  async openTab(): Promise<LabPage> {
    const tab = await this.page.context().newPage()
    await tab.goto(this.page.url())
    return new LabPage(tab)
  }

  render(...subjects: readonly Subject[]): Promise<void> {
    return this.page.evaluate((all) => window.lab.render(all), subjects)
  }

  hydrate(...subjects: readonly Subject[]): Promise<void> {
    return this.page.evaluate((all) => window.lab.hydrate(all), subjects)
  }

  call(name: string, method: string): Promise<unknown> {
    return this.page.evaluate(([name, method]) => window.lab.call(name, method), [
      name,
      method,
    ] as const)
  }

  async look(name: string): Promise<Look> {
    return (await this.page.evaluate((name) => window.lab.look(name), name)) as Look
  }

  /** Waits until what a component has rendered is so. @returns What it has rendered. */
  async shows(name: string, isSo: (look: Look) => boolean): Promise<Look> {
    let look: Look | undefined
    const isShown = async () => {
      look = await this.look(name)
      return look !== undefined && isSo(look)
    }
    await until(isShown, 30_000).catch((cause) => {
      const shown = JSON.stringify(look).slice(0, 1500)
      throw new Error(`${name} shows ${shown}, not ${isSo}. ${this.complaints}`, { cause })
    })
    expect(this.complaints).toEqual([])
    return look as Look
  }
}
