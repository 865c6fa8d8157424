# One command a habit. `just` without a name lists them.

export RUST_BACKTRACE := "1"

_list:
    @just --list --unsorted

# All that must hold before a change is done: the tests of this project.
test: fmt lint docs deny unit examples loom

# The code is formatted.
fmt:
    cargo fmt --all --check

# No warning of the compiler or of clippy, with and without the lab.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy -p ntm --no-default-features --locked -- -D warnings

# The compiler takes everything for macOS; nothing is run. Needs the target's standard library and a C compiler for it, as a Mac has them.
macos target="aarch64-apple-darwin":
    @test -d "$(rustc --print target-libdir --target {{target}})" || { echo "no standard library for {{target}}: rustup target add {{target}}" >&2; exit 4; }
    cargo check --workspace --all-targets --locked --target {{target}}

# The documentation builds without a warning.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Licences, sources and duplicates of what is linked in.
deny:
    @cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 4; }
    cargo deny --locked check licenses bans sources

# Known vulnerabilities; asks the advisory database on the Internet.
advisories:
    @cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 4; }
    cargo deny check advisories

# Unit, property, simulation and namespace tests, examples in documentation, and the saved fuzz corpus.
unit:
    cargo test --workspace --locked
    cargo test -p ntm-host --no-default-features --locked --test static_build

# The examples of plugins: each builds, loads, does its work and keeps what its kind promises; the one for networks without UDP carries whole nodes. They share what is built already.
examples:
    #!/usr/bin/env bash
    set -euo pipefail
    # As in Cargo.toml, whose profile does not reach them: what is the same is not built twice.
    like_ours=(--config 'profile.dev.debug="line-tables-only"' --config 'profile.dev.package."*".debug=false')
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    for example in examples/*/Cargo.toml; do
        cargo fmt --manifest-path "$example" --check
        for what in test build; do
            cargo $what "${like_ours[@]}" --locked --manifest-path "$example" --target-dir "$target"
        done
    done
    make -s -C examples/plugin-c OUT="$target/debug/libc_udp.so"
    # With all members, so that nothing is built anew for some of them alone.
    cargo test --workspace --locked --no-run --quiet
    for claims in examples/*/*.claims.toml; do
        name=$(basename "$claims" .claims.toml)
        "$target/debug/ntm-conformance" --plugin "$target/debug/lib$name.so" --claims "$claims"
    done
    NTM_LAB_TLS_LIBRARY="$target/debug/libplugin_rust.so" cargo test --workspace --locked --test outages -- a_library_carries

# A host built with this toolchain loads plugins built with others: every one of these that is installed, nightly also with randomised layouts.
plugin-matrix *toolchains="1.90 stable beta nightly":
    #!/usr/bin/env bash
    set -euo pipefail
    place=$(realpath -m "${CARGO_TARGET_DIR:-target}")/matrix libraries=""
    build() { # a name for the folder, a toolchain, flags
        RUSTFLAGS="$3" cargo "+$2" build -p ntm-transport-udp-dyn --locked --target-dir "$place/$1"
        libraries+="${libraries:+:}$place/$1/debug/libntm_transport_udp_dyn.so"
    }
    for toolchain in {{toolchains}}; do
        if ! cargo "+$toolchain" --version >/dev/null 2>&1; then
            echo "left out: no toolchain $toolchain is installed (rustup toolchain install $toolchain)" >&2
            continue
        fi
        build "$toolchain" "$toolchain" ""
        if [ "$toolchain" = nightly ]; then build randomised nightly "-Zrandomize-layout"; fi
    done
    NTM_MATRIX="$libraries" cargo test -p ntm-host --locked --test compilers -- --include-ignored --nocapture

# Plugins that each break one promise, linked and in libraries: which promise finds them.
faulty *options:
    cargo build --locked -p ntm-faulty-transport-dyn -p ntm-faulty-vip-dyn
    cargo run --locked -p ntm-faulty -- --libraries "${CARGO_TARGET_DIR:-target}/debug" {{options}}

# Every interleaving of the tunnel table's publication.
loom:
    RUSTFLAGS="--cfg ntm_loom" CARGO_TARGET_DIR=target/loom cargo test -p ntm-core --lib --release --locked tunnel::loom

# Every schedule of worlds with more moves and faults than the tests explore, some minutes; or of those whose names contain these words.
model *words:
    cargo run --release --locked -p ntm-model -- {{words}}

# Looks for crashes with every fuzz target, so many seconds each. What is found lands in artifacts/ beside them; how to keep it: README.md of ntm-core/fuzz and ntm-core/host/fuzz.
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo +nightly --version >/dev/null 2>&1 || { echo "a nightly toolchain is missing: rustup toolchain install nightly" >&2; exit 4; }
    cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 4; }
    for folder in ntm-core ntm-core/host; do
        cd "{{justfile_directory()}}/$folder"
        cargo +nightly fuzz build
        for target in $(cargo +nightly fuzz list); do
            mkdir -p "fuzz/target/found/$target"
            longest=4096
            [ "$target" = inspect ] && longest=32768
            cargo +nightly fuzz run "$target" "fuzz/target/found/$target" "fuzz/corpus/$target" -- \
                -max_total_time={{seconds}} -max_len=$longest -timeout=20
        done
    done

# The core's tests under the address sanitizer, and the plugin boundary's, with libraries that it sees into: data paths of all kinds and all faults.
sanitize:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo +nightly --version >/dev/null 2>&1 || { echo "a nightly toolchain is missing: rustup toolchain install nightly" >&2; exit 4; }
    host=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/sanitize \
        cargo +nightly test -p ntm-core -p ntm-abi --tests --target "$host" --locked
    # What is built by tests is built for the same target, else build scripts and macros would be watched, too. Threads that
    # plugins keep, and the libraries, are never given back: that is no leak. Libraries use the program's sanitizer.
    RUSTFLAGS="-Zsanitizer=address -Clink-arg=-rdynamic" CARGO_TARGET_DIR=target/sanitize/boundary CARGO_BUILD_TARGET="$host" ASAN_OPTIONS=detect_leaks=0 \
        cargo +nightly test -p ntm-host --lib --tests --locked

# The plugin boundary's tests under valgrind, over libraries that are really loaded: data paths of all kinds and all faults. Some minutes.
valgrind:
    #!/usr/bin/env bash
    set -euo pipefail
    valgrind --version >/dev/null 2>&1 || { echo "valgrind is missing: install the package valgrind" >&2; exit 4; }
    cargo test -p ntm-host --tests --no-run --locked
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind -q --error-exitcode=9 --num-callers=30"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
    # One at a time: what must not block has 2 s, and valgrind is slow.
    for test in built_in faults fixture inspect lies panics; do
        cargo test -p ntm-host --test "$test" --locked -- --test-threads=1
    done

# Plugins against what plugins promise, every built-in one unless others are named; arguments as of `ntm-conformance`.
conformance *arguments:
    cargo run --quiet --locked -p ntm-conformance -- {{arguments}}

# Builds anew the library that later hosts have to load (ntm-core/host/tests/fixture). Once ABI 1.0 is released, never again.
fixture:
    cd ntm-core/host/tests/fixture && gcc -std=gnu11 -Wall -Wextra -Werror -Os -shared -fPIC -fvisibility=hidden \
        -I ../../../abi/include -s -Wl,-z,noseparate-code -Wl,--hash-style=gnu -Wl,--build-id=none plugin.c -o x86_64-linux.so

# The paper's measurement, in both modes, with figures for docs/BENCHMARKS.md.
paper moves="50" rtt="10":
    cargo build --release
    target/release/ntm lab paper --mode fast --moves {{moves}} --rtt {{rtt}}
    target/release/ntm lab paper --mode seed --moves {{moves}} --rtt {{rtt}}

# The decision table on real kernels, so many times over.
rows times="1" jobs="2":
    cargo build --release
    for i in $(seq {{times}}); do target/release/ntm lab rows --jobs {{jobs}} || exit 1; done

# Every cell of the grid of moves on real kernels: a table, and the outages as a picture in FILE (SVG); other arguments as of `ntm lab grid`.
grid file="target/grid.svg" *arguments:
    cargo build --release
    target/release/ntm lab grid --plot {{file}} {{arguments}}

# ntm beside other tunnels, as many as are installed, for docs/BENCHMARKS.md; arguments as of `ntm-bench throughput`.
bench-throughput *arguments:
    cargo build --release --locked -p ntm -p ntm-bench -p ntm-transport-udp-dyn -p ntm-interface-tun-dyn
    target/release/ntm-bench throughput {{arguments}}

# What a move costs among 100, 1,000 and 10,000 simulated terminals: a table, and a plot in FILE (SVG).
scale file="target/scale.svg":
    cargo run --release --locked -p ntm-sim --example scale -- {{file}}

# What a move costs a conversation, beside other tunnels; arguments as of `ntm-bench handover`.
bench-handover *arguments:
    cargo build --release -p ntm -p ntm-bench
    target/release/ntm-bench handover {{arguments}}

# A long transfer while an end moves every two seconds; arguments as of `ntm-bench moves`.
bench-moves *arguments:
    cargo build --release --locked -p ntm -p ntm-bench
    target/release/ntm-bench moves {{arguments}}

# Explores what may happen to a simulated pair, from seeds that no test tries. What fails is written to FOLDER with as few steps as will do; kept as a file in conformance/sim/regressions, it is a test.
soak hours="1" folder="target/soak" first="1000":
    cargo run --release --locked -p ntm-sim --example soak -- $(( {{hours}} * 3600 )) {{folder}} {{first}}

# So many seeds of today, which no test tries: before a change is done.
fresh count="200":
    NTM_FRESH_SEEDS={{count}} cargo test --locked -p ntm-sim --test explore fresh_seeds_end_well_too

# Takes away what an invariant stands on, a thing at a time, in a copy of the sources, and sees which test notices; all, or those whose names contain one of these words.
mutations *words:
    cargo run --locked -p ntm-mutations -- {{words}}

# Plays a course that `just soak` has written, and tells what everybody says meanwhile.
replay file:
    cargo run --release --locked -p ntm-sim --example replay -- {{file}}

# What each stage of a packet's way costs, compared with `conformance/bench/stages.json`; `just bench-stages --write conformance/bench/stages.json` renews that.
bench-stages *arguments="--check conformance/bench/stages.json":
    cargo build --release --locked -p ntm-bench
    target/release/ntm-bench stages {{arguments}}
