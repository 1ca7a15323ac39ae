import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificateFiles } from './certificates.js'

const CONFIG = `[ca]
default_ca = here
[here]
database = index.txt
serial = serial
crlnumber = crlnumber
default_md = sha256
default_days = 30
default_crl_days = 30
policy = names
new_certs_dir = .
copy_extensions = copy
unique_subject = no
[names]
commonName = supplied
`
const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
/** Unlike those of what it issues, which begin at 1. */
const OWN_SERIAL = '0xAA'

/** A certificate authority as operators have one: openssl's, in a folder of its own, with a revocation list. */
export class OpensslAuthority {
  readonly folder: string
  readonly caFile: string

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    const files = { 'ca.cnf': CONFIG, 'index.txt': '', serial: '01', crlnumber: '01' }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    this.caFile = join(folder, 'ca.pem')
    const whom = ['-subj', '/CN=authority', '-days', '30', '-set_serial', OWN_SERIAL]
    this.#run('req', '-x509', ...EC_KEY, '-keyout', 'ca.key', '-out', 'ca.pem', ...whom)
  }

  #run(...args: readonly string[]): void {
    const { status, stderr } = spawnSync('openssl', args, { cwd: this.folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
  }

  #ca(...args: readonly string[]): void {
    this.#run('ca', '-batch', '-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key', ...args)
  }

  /** For servers and clients alike. `names` in openssl's form, e.g. `IP:127.0.0.1,DNS:a.example`; '' = none. */
  issue(name: string, names = 'IP:127.0.0.1', commonName = name): CertificateFiles {
    const usage = ['-addext', 'extendedKeyUsage=serverAuth,clientAuth']
    const alternatives = names === '' ? [] : ['-addext', `subjectAltName=${names}`]
    const out = ['-keyout', `${name}.key`, '-out', `${name}.csr`]
    const subject = commonName === '' ? '/O=nobody' : `/CN=${commonName}`
    this.#run('req', ...EC_KEY, ...out, '-subj', subject, ...alternatives, ...usage)
    this.#ca('-in', `${name}.csr`, '-out', `${name}.pem`, '-notext')
    return {
      certFile: join(this.folder, `${name}.pem`),
      keyFile: join(this.folder, `${name}.key`),
    }
  }

  revoke(name: string): void {
    this.#ca('-revoke', `${name}.pem`)
  }

  /** The list of what is revoked by now, over what is in this file. */
  writeList(file: string, form: 'DER' | 'PEM' = 'DER'): void {
    this.#ca('-gencrl', '-out', 'list.pem')
    this.#run('crl', '-in', 'list.pem', '-outform', form, '-out', file)
  }
}
