/**
 * Answers of the v2 API, written straight to Node's response: the hot path has no framework
 * between.
 */
import type { ServerResponse } from 'node:http'
import { quoteGo } from '../base/go-json.js'

/** Header names and values in turn. */
export type HeaderList = readonly string[]

export const JSON_TYPE = 'application/json'
export const TEXT_TYPE = 'text/plain; charset=utf-8'

/**
 * Ends a response. Go says nothing about an HTTP/1.1 connection that stays open, so nothing is said
 * here either; older clients are still told.
 */
export function answer(
  response: ServerResponse,
  status: number,
  headers: HeaderList,
  body: string,
): void {
  keepQuietAboutConnection(response)
  const length = String(Buffer.byteLength(body))
  response.writeHead(status, [...headers, 'Content-Length', length])
  response.end(body)
}

/** Leaves `Connection: keep-alive` and `Keep-Alive` out where they are the default. */
export function keepQuietAboutConnection(response: ServerResponse): void {
  if (response.shouldKeepAlive && response.req.httpVersionMinor === 1) {
    response.removeHeader('Connection')
  }
}

/** `{"message":"…"}` without a newline, as etcd's httptypes write it. */
export function answerMessage(
  response: ServerResponse,
  status: number,
  headers: HeaderList,
  message: string,
): void {
  const body = `{"message":${quoteGo(message)}}`
  answer(response, status, [...headers, 'Content-Type', JSON_TYPE], body)
}

/** A line of text as Go's http.Error writes it. */
export function answerText(
  response: ServerResponse,
  status: number,
  headers: HeaderList,
  text: string,
): void {
  const type = ['Content-Type', TEXT_TYPE, 'X-Content-Type-Options', 'nosniff']
  answer(response, status, [...headers, ...type], `${text}\n`)
}

/** 405 with the methods that work. */
export function answerNotAllowed(
  response: ServerResponse,
  headers: HeaderList,
  allow: string,
): void {
  answerText(response, 405, [...headers, 'Allow', allow], 'Method Not Allowed')
}
