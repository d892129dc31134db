#!/usr/bin/env bash
# Start the demo over. Landing, vault and state of a real shop can never be made again (state is
# what keeps a message from being sent twice), so a folder that knows any other shop is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob
for place in data/landing/*/*/*/ data/quarantine/*/*/*/ data/inbox/*/; do
    if [[ $(basename "$place") != demo_grocer ]]; then
        echo "clean-demo: $place belongs to a real shop; nothing was removed." >&2
        echo "  Next: to rebuild only what can be rebuilt, remove data/warehouse and" >&2
        echo "  data/published; the next night makes both again from landing and state." >&2
        exit 1
    fi
done

if [[ ${1:-} != yes ]]; then
    echo "clean-demo would remove data/ and .airflow/ of the demo, with everything it 'sent'." >&2
    echo "  Next: make clean-demo CONFIRM=yes" >&2
    exit 1
fi
rm -rf data .airflow
echo "The demo starts over with the next make nightly."
