/** Soon at first, then every second or two, never all processes at once. */
export function retryDelayMs(tries: number): number {
  return Math.round(Math.min(2000, 25 * 2 ** Math.min(tries, 7)) * (0.5 + Math.random() / 2))
}
