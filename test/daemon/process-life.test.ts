// Goal: no command takes a contradiction of the program for a failure that it may report and live with.
import { expect, test } from 'vitest'
import { InvariantViolation } from '../../src/base/invariant.js'
import { failureText } from '../../src/daemon/process-life.js'

test('an operator is told the text of a failure', () => {
  expect(failureText(new Error('port taken'))).toBe('port taken')
  expect(failureText('broken')).toBe('broken')
})

test('a contradiction of the program goes on up', () => {
  const contradiction = new InvariantViolation('twice one is three')
  expect(() => failureText(contradiction)).toThrow(contradiction)
})
