// Goal: the JSON of an event has its members in etcd's order, and leaves out those that are zero.
// Method: random trees of nodes against a naive twin that fills an object and prints it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPlainText, Quoter } from '../../src/base/go-json.js'
import { formatRfc3339Nano } from '../../src/base/rfc3339.js'
import { encodeV2Event, type V2Event, type V2NodeView } from '../../src/v2store/event.js'

/** Text in which Go and JavaScript escape the same. */
const text = fc.string({ unit: fc.constantFrom('a', '/', '_', '"', '\\', '\n', 'é', '😀', ' ') })
const index = fc.oneof(fc.constant(0), fc.maxSafeNat())
const { node } = fc.letrec<{ node: V2NodeView }>((tie) => ({
  node: fc
    .record({
      key: fc.oneof(
        fc.constant('/1'),
        text,
        text.map((rest) => `/1${rest}`),
      ),
      value: fc.option(text, { nil: undefined }),
      dir: fc.boolean(),
      expirationNs: fc.option(fc.bigInt({ min: 0n, max: 1n << 61n }), { nil: undefined }),
      ttlSeconds: fc.oneof(fc.constant(0), fc.integer()),
      nodes: fc.option(fc.array(tie('node'), { maxLength: 3, depthIdentifier: 'node' }), {
        nil: undefined,
      }),
      modifiedIndex: index,
      createdIndex: index,
      isPlain: fc.boolean(),
    })
    .map((drawn) => ({
      ...drawn,
      // Known or not.
      isPlain: drawn.isPlain && drawn.value !== undefined ? isPlainText(drawn.value) : undefined,
    })),
}))
const event: fc.Arbitrary<V2Event> = fc.record({
  action: fc.constantFrom('get', 'set', 'delete'),
  node,
  prevNode: fc.option(node, { nil: undefined }),
  etcdIndex: index,
  refresh: fc.boolean(),
})

function shown(view: V2NodeView, prefix: string): object {
  const key = view.key.startsWith(prefix) ? view.key.slice(prefix.length) : view.key
  const { expirationNs, nodes } = view
  return {
    key: key || undefined,
    value: view.value,
    dir: view.dir || undefined,
    expiration: expirationNs === undefined ? undefined : formatRfc3339Nano(expirationNs),
    ttl: view.ttlSeconds || undefined,
    nodes: nodes?.length ? nodes.map((below) => shown(below, prefix)) : undefined,
    modifiedIndex: view.modifiedIndex || undefined,
    createdIndex: view.createdIndex || undefined,
  }
}

test('an event is encoded as its twin is', () => {
  fc.assert(
    fc.property(event, fc.constantFrom('', '/1'), (drawn, prefix) => {
      const { action, prevNode } = drawn
      const twin = {
        action,
        node: shown(drawn.node, prefix),
        prevNode: prevNode === undefined ? undefined : shown(prevNode, prefix),
        refresh: drawn.refresh || undefined,
      }
      const quoter = new Quoter()
      const encoded = encodeV2Event(drawn, prefix, quoter)
      expect(encoded).toBe(JSON.stringify(twin))
      expect(quoter.isAscii).toBe(Buffer.byteLength(encoded) === encoded.length)
    }),
  )
})
