/** A span as Go prints it, e.g. `15.701311ms`, `1.5s`, `416.079µs`, `0s`. */
export function goDuration(milliseconds: number): string {
  const nanos = Math.round(milliseconds * 1e6)
  if (nanos === 0) return '0s'
  if (Math.abs(nanos) < 1000) return `${nanos}ns`
  if (Math.abs(nanos) < 1e6) return `${nanos / 1000}µs`
  if (Math.abs(nanos) < 1e9) return `${nanos / 1e6}ms`
  const sign = nanos < 0 ? '-' : ''
  const seconds = Math.abs(nanos) / 1e9
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${sign}${seconds}s`
  const rest = `${minutes % 60}m${Number((seconds - minutes * 60).toFixed(9))}s`
  return minutes < 60 ? sign + rest : `${sign}${Math.floor(minutes / 60)}h${rest}`
}
