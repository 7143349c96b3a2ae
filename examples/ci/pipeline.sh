#!/usr/bin/env bash
# The same for any CI system, as one script with two stages. MCP_PROXY_URL and MCP_PROXY_ADMIN_TOKEN come from the
# system's variables and secrets, and so does what templates in the files need.
#
#   examples/ci/pipeline.sh plan    on a merge request: a report, and a plan to keep as an artifact
#   examples/ci/pipeline.sh sync    after the merge, with that artifact: exactly what was seen, or exit code 5
set -euo pipefail

files=${FILES:-workflows/}
owner=${OWNER:-ci}

case ${1:-} in
    plan)
        register-service --output junit validate "$files" >junit.xml
        register-service plan "$files" --owner "$owner" --prune owned --out plan.json
        ;;
    sync)
        register-service sync "$files" --plan plan.json --wait --timeout 2m
        ;;
    *)
        echo "usage: ${BASH_SOURCE[0]} plan|sync" >&2
        exit 2
        ;;
esac
