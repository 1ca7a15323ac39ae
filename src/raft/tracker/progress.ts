import type { LogIndex } from '../../base/ids.js'
export type ProgressState = 'probe' | 'replicate' | 'snapshot'
export type Unused = LogIndex
