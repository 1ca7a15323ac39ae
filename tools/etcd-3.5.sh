#!/usr/bin/env bash
# Builds etcd 3.5 with its two tools, as Go modules, into a folder: what test/interop holds this project against beside
# Debian's etcd 3.4. Needs Go. About two minutes the first time. Usage: tools/etcd-3.5.sh FOLDER
set -euo pipefail
readonly VERSION=v3.5.33
readonly FOLDER=$(mkdir -p "$1" && cd "$1" && pwd)
if [ -x "$FOLDER/etcd-3.5" ] && [ -x "$FOLDER/etcdctl-3.5" ] && [ -x "$FOLDER/etcdutl-3.5" ]; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init interop
go get -tool "go.etcd.io/etcd/server/v3@$VERSION" "go.etcd.io/etcd/etcdctl/v3@$VERSION" \
  "go.etcd.io/etcd/etcdutl/v3@$VERSION"
go build -o "$FOLDER/etcd-3.5" go.etcd.io/etcd/server/v3
go build -o "$FOLDER/etcdctl-3.5" go.etcd.io/etcd/etcdctl/v3
go build -o "$FOLDER/etcdutl-3.5" go.etcd.io/etcd/etcdutl/v3
