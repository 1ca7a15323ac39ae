/** The form in the body of a PUT or POST, if its type says that it is one. */
import { addGoQuery, detached, Form } from './go-form.js'
import { parseMediaType } from './media-type.js'

const FORM_TYPE = 'application/x-www-form-urlencoded'

/** What a body said. */
export interface FormBody {
  readonly form: Form
  /** Why it could not be read, in Go's words. */
  readonly problem: string | undefined
}

/** Whether a body is read as a form, or in Go's words why its type cannot be told. */
export type FormKind = 'form' | 'none' | { readonly problem: string }

/** What a Content-Type says; without the header a body is no form. */
export function formKind(contentType: string | undefined): FormKind {
  if (contentType === FORM_TYPE) return 'form'
  if (contentType === undefined) return 'none'
  const type = parseMediaType(contentType)
  if (type.kind === 'bad') return { problem: type.reason }
  return type.type === FORM_TYPE ? 'form' : 'none'
}

/** Characters of a body that a value may keep in memory beside itself. */
const KEPT_ALONG_MAX = 64

export function parseFormBody(text: string): FormBody {
  const form = new Form()
  const problem = addGoQuery(form, text)
  const value = form.get('value')
  if (value !== undefined && text.length - value.length > KEPT_ALONG_MAX) {
    form.set('value', detached(value))
  }
  return { form, problem }
}
