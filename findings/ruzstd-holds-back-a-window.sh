#!/usr/bin/env bash
# ruzstd 0.9.1 gives out nothing of a flushed Zstandard stream until its frame ends or exceeds the window.
#
# A sender that compresses an event stream flushes after each event; the receiver can then decode the event at once: the
# reference library (here through PyPI's zstandard 0.25.0) does so. ruzstd's `StreamingDecoder` and `FrameDecoder` keep the
# last window of the output (2 MiB for the frame below) back for later blocks, although they could give out a copy of it. So
# a stream of small events is delivered in one piece at its end. The whole frame is decoded alike by both.
#
# Output seen on 29 November 2026 (cargo 1.95, Python 3.11):
#   zstandard 0.25.0: 9 bytes after the flush
#   ruzstd 0.9.1: 0 bytes after the flush
#   ruzstd 0.9.1: 9 bytes after the end of the frame
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip --quiet install zstandard==0.25.0
cat >compress.py <<'PY'
import zstandard

compressor = zstandard.ZstdCompressor(level=3).compressobj()
flushed = compressor.compress(b"data: 1\n\n") + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
rest = compressor.flush()
open("flushed", "wb").write(flushed)
open("whole", "wb").write(flushed + rest)
print(f"zstandard {zstandard.__version__}: {len(zstandard.ZstdDecompressor().decompressobj().decompress(flushed))} bytes after the flush")
PY
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "flushed"
version = "0.1.0"
edition = "2021"

[dependencies]
ruzstd = { version = "=0.9.1", default-features = false, features = ["std"] }
TOML
cat >src/main.rs <<'RUST'
use ruzstd::decoding::FrameDecoder;

/// Decodes all blocks of a file and counts the bytes that are given out.
fn decoded(file: &str) -> usize {
    let input = std::fs::read(file).unwrap();
    let (mut decoder, mut rest, mut room) = (FrameDecoder::new(), input.as_slice(), vec![0; 4096]);
    decoder.reset(&mut rest).unwrap();
    let (_, mut count) = decoder.decode_from_to(rest, &mut room).unwrap();
    while let Ok(more @ 1..) = std::io::Read::read(&mut decoder, &mut room) {
        count += more;
    }
    count
}

fn main() {
    println!("ruzstd 0.9.1: {} bytes after the flush", decoded("flushed"));
    println!("ruzstd 0.9.1: {} bytes after the end of the frame", decoded("whole"));
}
RUST
env/bin/python compress.py | tee seen
cargo run --quiet | tee -a seen
diff seen - <<'EXPECTED'
zstandard 0.25.0: 9 bytes after the flush
ruzstd 0.9.1: 0 bytes after the flush
ruzstd 0.9.1: 9 bytes after the end of the frame
EXPECTED
