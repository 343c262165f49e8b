import { RedisServer } from './redis-server.js'
import { until } from './until.js'

export interface ClusterOptions {
  /** At least 3, as Redis has it. By default 3. */
  readonly masters?: number | undefined
}

const slotCount = 16_384

/** Masters of a cluster, which share its slots. */
export class RedisCluster {
  readonly nodes: readonly RedisServer[]

  constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
  }

  /** Of the slot that a key is in. */
  async slotOf(key: string): Promise<number> {
    return Number(await this.#first.cli('CLUSTER', 'KEYSLOT', key))
  }

  /** The node that has a slot. */
  async ownerOf(slot: number): Promise<RedisServer> {
    return this.#nodeAt(await ownerPort(this.#first, slot))
  }

  /**
   * Moves a slot with all that is in it, while clients go on using it. Does nothing if it is there.
   *
   * @returns Once every node knows the new owner.
   */
  async moveSlot(slot: number, to: RedisServer): Promise<void> {
    const from = await this.ownerOf(slot)
    if (from === to) return
    const [fromId, toId] = [await idOf(from), await idOf(to)]
    await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    await moveKeys(slot, from, to)
    // The new owner first: a slot that nobody owns would lose what is written then.
    for (const node of new Set([to, from, ...this.nodes])) {
      await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    }
    await until(() => every(this.nodes, async (node) => (await ownerPort(node, slot)) === to.port))
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  get #first(): RedisServer {
    return this.nodes[0] as RedisServer
  }

  #nodeAt(port: number | undefined): RedisServer {
    const node = this.nodes.find((candidate) => candidate.port === port)
    if (node === undefined) throw new Error('No node has the slot.')
    return node
  }
}

/** @returns Once every node serves all slots. End it by `stop`. */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3 } = options
  const config = ['cluster-node-timeout 2000']
  const nodes = await Promise.all(
    Array.from({ length: masters }, () => RedisServer.start({ cluster: true, config })),
  )
  for (const [index, node] of nodes.entries()) {
    // Nodes of the same epoch would first have to settle which comes before which.
    await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    const [start, end] = [index, index + 1].map((n) => Math.floor((n * slotCount) / masters))
    await node.cli('CLUSTER', 'ADDSLOTSRANGE', start as number, (end as number) - 1)
  }
  for (const a of nodes) for (const b of nodes) if (a !== b) await meet(a, b)
  await until(() => every(nodes, (node) => isComplete(node, masters)), 20_000)
  return new RedisCluster(nodes)
}

async function meet(node: RedisServer, other: RedisServer): Promise<void> {
  const [, busPort] = (await other.cli('CONFIG', 'GET', 'cluster-port')) as string[]
  await node.cli('CLUSTER', 'MEET', '127.0.0.1', other.port, busPort as string)
}

async function isComplete(node: RedisServer, masters: number): Promise<boolean> {
  const text = String(await node.cli('CLUSTER', 'INFO'))
  const wanted = [
    'cluster_state:ok',
    `cluster_slots_ok:${slotCount}`,
    `cluster_known_nodes:${masters}`,
    `cluster_size:${masters}`,
  ]
  return wanted.every((line) => text.includes(`${line}\r\n`))
}

async function moveKeys(slot: number, from: RedisServer, to: RedisServer): Promise<void> {
  for (;;) {
    const keys = (await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
    if (keys.length === 0) return
    await from.cli('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys)
  }
}

async function idOf(node: RedisServer): Promise<string> {
  return String(await node.cli('CLUSTER', 'MYID'))
}

/** Where a node would send clients that ask for a slot. */
async function ownerPort(node: RedisServer, slot: number): Promise<number | undefined> {
  type Range = [start: number, end: number, master: [ip: string, port: number, id: string]]
  const ranges = (await node.cli('CLUSTER', 'SLOTS')) as Range[]
  return ranges.find(([start, end]) => start <= slot && slot <= end)?.[2][1]
}

async function every<T>(items: readonly T[], test: (item: T) => Promise<boolean>) {
  return (await Promise.all(items.map(test))).every(Boolean)
}
