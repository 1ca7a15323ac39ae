/** npm run checker -- HISTORY: exit code 0 = sound, 1 = not, 2 = not readable. */
import { checkHistory } from './linearizability/check-history.js'
import { HistoryFileError, readHistory } from './linearizability/history-file.js'

/** Lines of a window that are printed at most. */
const WINDOW_LINES_MAX = 40

function main(path: string | undefined): number {
  if (path === undefined) {
    console.error('usage: npm run checker -- HISTORY')
    return 2
  }
  let exitCode = 0
  const lines = readHistory(path)
  console.log(`${path}: ${lines.length} lines`)
  for (const { check, problem, window } of checkHistory(lines)) {
    console.log(`${check}-check: ${problem ?? 'sound'}`)
    for (const line of window.slice(0, WINDOW_LINES_MAX)) console.log(`  ${JSON.stringify(line)}`)
    if (window.length > WINDOW_LINES_MAX)
      console.log(`  and ${window.length - WINDOW_LINES_MAX} more`)
    if (problem !== undefined) exitCode = 1
  }
  return exitCode
}

try {
  process.exitCode = main(process.argv[2])
} catch (error) {
  const isTold = error instanceof HistoryFileError || (error instanceof Error && 'code' in error)
  if (!isTold) throw error
  console.error(error.message)
  process.exitCode = 2
}
