import { FLOOD_WINDOW_MS, type Http2Limits } from './limits.js'
import { ERROR, Http2ConnectionError } from './protocol.js'

/** Frames that cost us work and the client nothing. */
export type FloodKind = 'reset' | 'ping' | 'settings' | 'empty' | 'ignored' | 'window-update'

/**
 * Counts cheap frames of one connection over a window of time and ends it when they are a flood.
 */
export class FloodGuard {
  readonly #limits: Http2Limits
  #windowStartMs = 0
  #resets = 0
  #pings = 0
  #settings = 0
  #empties = 0
  #ignored = 0
  #windowUpdates = 0

  constructor(limits: Http2Limits) {
    this.#limits = limits
  }

  /** Throws Http2ConnectionError ENHANCE_YOUR_CALM when this frame is one too many. */
  count(kind: FloodKind, nowMs: number): void {
    if (nowMs - this.#windowStartMs >= FLOOD_WINDOW_MS) this.#startWindow(nowMs)
    if (this.#add(kind) > this.#limits[LIMIT_OF[kind]]) {
      throw new Http2ConnectionError(ERROR.ENHANCE_YOUR_CALM, TEXT_OF[kind])
    }
  }

  /** A DATA frame was sent: the client may answer it with window updates. */
  dataSent(): void {
    this.#windowUpdates -= 4
  }

  #add(kind: FloodKind): number {
    switch (kind) {
      case 'reset':
        return ++this.#resets
      case 'ping':
        return ++this.#pings
      case 'settings':
        return ++this.#settings
      case 'empty':
        return ++this.#empties
      case 'ignored':
        return ++this.#ignored
      default:
        return ++this.#windowUpdates
    }
  }

  #startWindow(nowMs: number): void {
    this.#windowStartMs = nowMs
    this.#resets = 0
    this.#pings = 0
    this.#settings = 0
    this.#empties = 0
    this.#ignored = 0
    // What was earned by sending data before is kept: its updates may still be on their way.
    this.#windowUpdates = Math.min(this.#windowUpdates, 0)
  }
}

const LIMIT_OF = {
  reset: 'resetsMax',
  ping: 'pingsMax',
  settings: 'settingsMax',
  empty: 'emptyFramesMax',
  ignored: 'ignoredFramesMax',
  'window-update': 'windowUpdatesMax',
} as const satisfies Record<FloodKind, keyof Http2Limits>

const TEXT_OF: Readonly<Record<FloodKind, string>> = {
  reset: 'too_many_resets',
  ping: 'too_many_pings',
  settings: 'too_many_settings',
  empty: 'too_many_empty_frames',
  ignored: 'too_many_ignored_frames',
  'window-update': 'too_many_window_updates',
}
