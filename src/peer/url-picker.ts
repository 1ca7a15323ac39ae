import { invariant } from '../base/invariant.js'

/** Which of a peer's URLs to use: the same one until it fails, then the next. */
export class UrlPicker {
  #urls: readonly URL[] = []
  #at = 0

  constructor(urls: readonly string[]) {
    this.update(urls)
  }

  update(urls: readonly string[]): void {
    invariant(urls.length > 0, 'a peer has at least one URL')
    this.#urls = urls.map((url) => new URL(url))
    this.#at = 0
  }

  pick(): URL {
    const url = this.#urls[this.#at]
    invariant(url !== undefined, 'the picked position is within the list')
    return url
  }

  /** Moves on, unless somebody else's failure on the same URL has done so already. */
  unreachable(url: URL): void {
    if (url === this.#urls[this.#at]) this.#at = (this.#at + 1) % this.#urls.length
  }
}

/**
 * Whether this daemon can dial it. What other members claim to be reachable at is checked with
 * this.
 */
export function isPeerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, host } = new URL(text)
  return ['http:', 'https:', 'unix:', 'unixs:'].includes(protocol) && host !== ''
}
