# Sourced by setup and start: where the servers' packages are installed, named after what they are installed from.
# shellcheck shell=bash disable=SC2034

servers=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${RTBENCH_SERVERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rtbench/servers}
python=${PYTHON:-python3}

digest() {
  { sha256sum 2>/dev/null || shasum -a 256; } <"$servers/$1" | cut -c 1-16
}

node_packages=$cache/node-$(digest package-lock.json)
python_packages=$cache/$(basename "$python")-$(digest requirements.txt)
