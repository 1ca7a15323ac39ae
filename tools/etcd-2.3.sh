#!/usr/bin/env bash
# Builds etcd 2.3 and its etcdctl into a folder: whose data directories and client test/interop holds this project against.
# Needs Go. About a minute the first time. Usage: tools/etcd-2.3.sh FOLDER
set -euo pipefail
readonly VERSION=v2.3.8+incompatible
readonly FOLDER=$(mkdir -p "$1" && cd "$1" && pwd)
if [ -x "$FOLDER/etcd-2.3" ] && [ -x "$FOLDER/etcdctl-2.3" ]; then exit 0; fi

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
cd "$work"
go mod init interop
go get "github.com/coreos/etcd@$VERSION"
cp -r "$(go list -m -f '{{.Dir}}' github.com/coreos/etcd)" source
chmod -R u+w source
cd source

# A code generator that no daemon runs has a base64 alphabet with one sign twice, at which today's Go panics.
sed -i 's/0123456789__"/0123456789_-"/' Godeps/_workspace/src/github.com/ugorji/go/codec/gen.go

# What it needs is in its own folder Godeps, so as a module of its own it requires nothing.
go mod init github.com/coreos/etcd
go build -o "$FOLDER/etcd-2.3" .
go build -o "$FOLDER/etcdctl-2.3" ./etcdctl
