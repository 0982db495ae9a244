#!/usr/bin/env bash
# Fetches the scripts and styles of others that the dashboard ships, and writes down what they are: needs npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../src/flask_condor/dashboard/static/vendor"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# package, version, licence, its licence file, files
vendored=(
    "htmx.org 4.0.1 0BSD LICENSE dist/htmx.min.js"
    "uplot 1.6.32 MIT LICENSE dist/uPlot.iife.min.js dist/uPlot.min.css"
    "@picocss/pico 2.1.1 MIT LICENSE.md css/pico.min.css"
)

rm -f -- *.js *.css *.LICENSE.txt
{
    echo "The scripts and styles of others, as their npm packages have them. Written by .ci/vendor.sh."
    echo
    echo "package version licence file sha256"
} >VENDORED.txt
for line in "${vendored[@]}"; do
    read -r package version licence text files <<<"$line"
    tarball=$(cd "$scratch" && npm pack --silent "$package@$version")
    tar -xzf "$scratch/$tarball" -C "$scratch"
    name=${package##*/}
    for file in $files "$text"; do
        target=$(basename "$file")
        [ "$file" = "$text" ] && target=$name.LICENSE.txt
        cp "$scratch/package/$file" "$target"
        echo "$package $version $licence $target $(sha256sum "$target" | cut -d' ' -f1)" >>VENDORED.txt
    done
    rm -rf "$scratch/package"
done
